#include "cliplens/model/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace {

constexpr char kConfigFile[] = "open_clip_config.json";
constexpr char kWeightsFile[] = "open_clip_model.safetensors";

constexpr TensorRow kOpenClip[] = {
    {"vision.patch.weight", "visual.conv1.weight", "D,3,P,P"},
    {"vision.class", "visual.class_embedding", "D"},
    {"vision.position", "visual.positional_embedding", "N,D"},
    {"vision.ln_pre.gain", "visual.ln_pre.weight", "D"},
    {"vision.ln_pre.bias", "visual.ln_pre.bias", "D"},
    {"vision.block.{}.ln1.gain", "visual.transformer.resblocks.{}.ln_1.weight", "D"},
    {"vision.block.{}.ln1.bias", "visual.transformer.resblocks.{}.ln_1.bias", "D"},
    {"vision.block.{}.attn.in.weight", "visual.transformer.resblocks.{}.attn.in_proj_weight",
     "3D,D"},
    {"vision.block.{}.attn.in.bias", "visual.transformer.resblocks.{}.attn.in_proj_bias", "3D"},
    {"vision.block.{}.attn.out.weight", "visual.transformer.resblocks.{}.attn.out_proj.weight",
     "D,D"},
    {"vision.block.{}.attn.out.bias", "visual.transformer.resblocks.{}.attn.out_proj.bias", "D"},
    {"vision.block.{}.ln2.gain", "visual.transformer.resblocks.{}.ln_2.weight", "D"},
    {"vision.block.{}.ln2.bias", "visual.transformer.resblocks.{}.ln_2.bias", "D"},
    {"vision.block.{}.mlp.in.weight", "visual.transformer.resblocks.{}.mlp.c_fc.weight", "F,D"},
    {"vision.block.{}.mlp.in.bias", "visual.transformer.resblocks.{}.mlp.c_fc.bias", "F"},
    {"vision.block.{}.mlp.out.weight", "visual.transformer.resblocks.{}.mlp.c_proj.weight", "D,F"},
    {"vision.block.{}.mlp.out.bias", "visual.transformer.resblocks.{}.mlp.c_proj.bias", "D"},
    {"vision.ln_post.gain", "visual.ln_post.weight", "D"},
    {"vision.ln_post.bias", "visual.ln_post.bias", "D"},
    {"vision.projection", "visual.proj", "D,E"},
    {"text.token", "token_embedding.weight", "V,D"},
    {"text.position", "positional_embedding", "T,D"},
    {"text.block.{}.ln1.gain", "transformer.resblocks.{}.ln_1.weight", "D"},
    {"text.block.{}.ln1.bias", "transformer.resblocks.{}.ln_1.bias", "D"},
    {"text.block.{}.attn.in.weight", "transformer.resblocks.{}.attn.in_proj_weight", "3D,D"},
    {"text.block.{}.attn.in.bias", "transformer.resblocks.{}.attn.in_proj_bias", "3D"},
    {"text.block.{}.attn.out.weight", "transformer.resblocks.{}.attn.out_proj.weight", "D,D"},
    {"text.block.{}.attn.out.bias", "transformer.resblocks.{}.attn.out_proj.bias", "D"},
    {"text.block.{}.ln2.gain", "transformer.resblocks.{}.ln_2.weight", "D"},
    {"text.block.{}.ln2.bias", "transformer.resblocks.{}.ln_2.bias", "D"},
    {"text.block.{}.mlp.in.weight", "transformer.resblocks.{}.mlp.c_fc.weight", "F,D"},
    {"text.block.{}.mlp.in.bias", "transformer.resblocks.{}.mlp.c_fc.bias", "F"},
    {"text.block.{}.mlp.out.weight", "transformer.resblocks.{}.mlp.c_proj.weight", "D,F"},
    {"text.block.{}.mlp.out.bias", "transformer.resblocks.{}.mlp.c_proj.bias", "D"},
    {"text.ln_post.gain", "ln_final.weight", "D"},
    {"text.ln_post.bias", "ln_final.bias", "D"},
    {"text.projection", "text_projection", "D,E"},
    {"logit_scale", "logit_scale", ""},
};

// Tensors of a file that carry no weights of their own.
constexpr std::string_view kDerived[] = {"attn_mask", "logit_bias"};

std::string WithLayer(std::string_view pattern, Index layer) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), layer, pattern.substr(at + 2));
}

std::vector<Index> ShapeOf(std::string_view letters, const TowerConfig& tower,
                           const ModelConfig& config) {
  std::vector<Index> shape;
  while (!letters.empty()) {
    const std::size_t comma = std::min(letters.find(','), letters.size());
    std::string_view axis = letters.substr(0, comma);
    letters.remove_prefix(std::min(comma + 1, letters.size()));
    Index factor = 1;
    if (axis.front() >= '0' && axis.front() <= '9') {
      factor = axis.front() - '0';
      axis.remove_prefix(1);
    }
    Index size = 1;
    switch (axis.empty() ? ' ' : axis.front()) {
      case 'D':
        size = tower.width;
        break;
      case 'F':
        size = tower.mlp_width;
        break;
      case 'P':
        size = config.patch_size;
        break;
      case 'N':
        size = config.tokens();
        break;
      case 'T':
        size = config.context_length;
        break;
      case 'V':
        size = config.vocabulary_size;
        break;
      case 'E':
        size = config.embed_width;
        break;
      default:
        break;
    }
    shape.push_back(factor * size);
  }
  return shape;
}

Tensor ReadTensor(const SafetensorsFile& file, const std::string& name,
                  const std::vector<Index>& expected) {
  if (!file.contains(name)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' is missing; the file does not hold the model of {} beside it",
                file.path().string(), name, kConfigFile);
  }
  const TensorEntry& entry = file.at(name);
  if (entry.shape != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, the configuration asks for {}; the weights belong "
                "to another {}",
                file.path().string(), name, ShapeText(entry.shape), ShapeText(expected),
                kConfigFile);
  }
  Tensor tensor{entry.shape, ReadAsFloat(entry)};
  for (float v : tensor.values) {
    if (!std::isfinite(v)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' holds a value that is not finite; the checkpoint is damaged",
                  file.path().string(), name);
    }
  }
  return tensor;
}

std::string Fingerprint(const Checkpoint& checkpoint) {
  Hasher hasher;
  hasher.Update(DumpJson(ToJson(checkpoint.config)));
  for (const auto& [name, tensor] : checkpoint.tensors) {
    hasher.Update(name);
    hasher.Update({reinterpret_cast<const std::uint8_t*>(tensor.values.data()),
                   tensor.values.size() * sizeof(float)});
  }
  return hasher.Digest();
}

}  // namespace

std::span<const TensorRow> OpenClipTable() { return kOpenClip; }

ModelConfig LoadConfig(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::exists(directory, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: no such model; give an open_clip hub directory (with {} and {}) or the name "
                "of a shipped model",
                directory.string(), kConfigFile, kWeightsFile);
  }
  if (!fs::is_directory(directory, ignored)) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: not a directory; give an open_clip hub directory, with {} and {} in it",
                directory.string(), kConfigFile, kWeightsFile);
  }
  for (const char* file : {kConfigFile, kWeightsFile}) {
    if (!fs::exists(directory / file, ignored)) {
      throw Error(ErrorCode::kNotFound,
                  "{}: there is no {} in it; an open_clip hub directory has {} and {}",
                  directory.string(), file, kConfigFile, kWeightsFile);
    }
  }
  const fs::path config_path = directory / kConfigFile;
  return ParseOpenClipConfig(ReadJsonFile(config_path, Index{1} << 20), config_path.string());
}

Checkpoint LoadCheckpoint(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  Checkpoint checkpoint;
  checkpoint.config = LoadConfig(directory);
  checkpoint.directory = directory;
  std::error_code ignored;
  fs::path named = fs::weakly_canonical(directory, ignored);
  checkpoint.name = (ignored ? directory : named).filename().string();

  const SafetensorsFile file(directory / kWeightsFile);
  std::set<std::string> used;
  for (const TensorRow& row : kOpenClip) {
    const bool vision = std::string_view(row.name).starts_with("vision.");
    const TowerConfig& tower = vision ? checkpoint.config.vision : checkpoint.config.text;
    const std::vector<Index> shape = ShapeOf(row.shape, tower, checkpoint.config);
    const bool layered = std::string_view(row.name).find("{}") != std::string_view::npos;
    for (Index l = 0; l < (layered ? tower.layers : 1); ++l) {
      const std::string name = WithLayer(row.checkpoint, l);
      checkpoint.tensors[WithLayer(row.name, l)] = ReadTensor(file, name, shape);
      used.insert(name);
    }
  }
  for (const auto& [name, entry] : file.tensors()) {
    if (used.contains(name)) continue;
    if (std::ranges::find(kDerived, name) != std::end(kDerived)) continue;
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' {} has no place in the model of {}; the two files do not belong "
                "together, or the model has parts that this version does not evaluate",
                file.path().string(), name, ShapeText(entry.shape), kConfigFile);
  }
  checkpoint.fingerprint = Fingerprint(checkpoint);
  return checkpoint;
}

}  // namespace cliplens
