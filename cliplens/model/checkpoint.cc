#include "cliplens/model/checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/tensor_file.h"
#include "cliplens/model/architectures.h"
#include "cliplens/model/preprocess_config.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr Index kMaxConfigBytes = Index{1} << 20;

constexpr TensorRow kOpenClip[] = {
    {"vision.patch.weight", "visual.conv1.weight", "D,3,P,P"},
    {"vision.class", "visual.class_embedding", "D"},
    {"vision.position", "visual.positional_embedding", "N,D"},
    {"vision.ln_pre.gain", "visual.ln_pre.weight", "D", TensorUse::kLnPre},
    {"vision.ln_pre.bias", "visual.ln_pre.bias", "D", TensorUse::kLnPre},
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
    {"vision.block.{}.attn.scale", "visual.transformer.resblocks.{}.ls_1.gamma", "D",
     TensorUse::kLayerScale},
    {"vision.block.{}.mlp.scale", "visual.transformer.resblocks.{}.ls_2.gamma", "D",
     TensorUse::kLayerScale},
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
    {"text.block.{}.attn.scale", "transformer.resblocks.{}.ls_1.gamma", "D",
     TensorUse::kLayerScale},
    {"text.block.{}.mlp.scale", "transformer.resblocks.{}.ls_2.gamma", "D", TensorUse::kLayerScale},
    {"text.ln_post.gain", "ln_final.weight", "D"},
    {"text.ln_post.bias", "ln_final.bias", "D"},
    {"text.projection", "text_projection", "D,E"},
    {"logit_scale", "logit_scale", ""},
};

constexpr TensorRow kHuggingFace[] = {
    {"vision.patch.weight", "vision_model.embeddings.patch_embedding.weight", "D,3,P,P"},
    {"vision.class", "vision_model.embeddings.class_embedding", "D"},
    {"vision.position", "vision_model.embeddings.position_embedding.weight", "N,D"},
    {"vision.ln_pre.gain", "vision_model.pre_layrnorm.weight", "D"},
    {"vision.ln_pre.bias", "vision_model.pre_layrnorm.bias", "D"},
    {"vision.block.{}.ln1.gain", "vision_model.encoder.layers.{}.layer_norm1.weight", "D"},
    {"vision.block.{}.ln1.bias", "vision_model.encoder.layers.{}.layer_norm1.bias", "D"},
    {"vision.block.{}.attn.in.weight",
     "vision_model.encoder.layers.{}.self_attn.q_proj.weight|vision_model.encoder.layers.{}.self_"
     "attn.k_proj.weight|vision_model.encoder.layers.{}.self_attn.v_proj.weight",
     "3D,D"},
    {"vision.block.{}.attn.in.bias",
     "vision_model.encoder.layers.{}.self_attn.q_proj.bias|vision_model.encoder.layers.{}.self_"
     "attn.k_proj.bias|vision_model.encoder.layers.{}.self_attn.v_proj.bias",
     "3D"},
    {"vision.block.{}.attn.out.weight", "vision_model.encoder.layers.{}.self_attn.out_proj.weight",
     "D,D"},
    {"vision.block.{}.attn.out.bias", "vision_model.encoder.layers.{}.self_attn.out_proj.bias",
     "D"},
    {"vision.block.{}.ln2.gain", "vision_model.encoder.layers.{}.layer_norm2.weight", "D"},
    {"vision.block.{}.ln2.bias", "vision_model.encoder.layers.{}.layer_norm2.bias", "D"},
    {"vision.block.{}.mlp.in.weight", "vision_model.encoder.layers.{}.mlp.fc1.weight", "F,D"},
    {"vision.block.{}.mlp.in.bias", "vision_model.encoder.layers.{}.mlp.fc1.bias", "F"},
    {"vision.block.{}.mlp.out.weight", "vision_model.encoder.layers.{}.mlp.fc2.weight", "D,F"},
    {"vision.block.{}.mlp.out.bias", "vision_model.encoder.layers.{}.mlp.fc2.bias", "D"},
    {"vision.ln_post.gain", "vision_model.post_layernorm.weight", "D"},
    {"vision.ln_post.bias", "vision_model.post_layernorm.bias", "D"},
    {"vision.projection", "visual_projection.weight", "D,E", TensorUse::kAlways, true},
    {"text.token", "text_model.embeddings.token_embedding.weight", "V,D"},
    {"text.position", "text_model.embeddings.position_embedding.weight", "T,D"},
    {"text.block.{}.ln1.gain", "text_model.encoder.layers.{}.layer_norm1.weight", "D"},
    {"text.block.{}.ln1.bias", "text_model.encoder.layers.{}.layer_norm1.bias", "D"},
    {"text.block.{}.attn.in.weight",
     "text_model.encoder.layers.{}.self_attn.q_proj.weight|text_model.encoder.layers.{}.self_attn."
     "k_proj.weight|text_model.encoder.layers.{}.self_attn.v_proj.weight",
     "3D,D"},
    {"text.block.{}.attn.in.bias",
     "text_model.encoder.layers.{}.self_attn.q_proj.bias|text_model.encoder.layers.{}.self_attn.k_"
     "proj.bias|text_model.encoder.layers.{}.self_attn.v_proj.bias",
     "3D"},
    {"text.block.{}.attn.out.weight", "text_model.encoder.layers.{}.self_attn.out_proj.weight",
     "D,D"},
    {"text.block.{}.attn.out.bias", "text_model.encoder.layers.{}.self_attn.out_proj.bias", "D"},
    {"text.block.{}.ln2.gain", "text_model.encoder.layers.{}.layer_norm2.weight", "D"},
    {"text.block.{}.ln2.bias", "text_model.encoder.layers.{}.layer_norm2.bias", "D"},
    {"text.block.{}.mlp.in.weight", "text_model.encoder.layers.{}.mlp.fc1.weight", "F,D"},
    {"text.block.{}.mlp.in.bias", "text_model.encoder.layers.{}.mlp.fc1.bias", "F"},
    {"text.block.{}.mlp.out.weight", "text_model.encoder.layers.{}.mlp.fc2.weight", "D,F"},
    {"text.block.{}.mlp.out.bias", "text_model.encoder.layers.{}.mlp.fc2.bias", "D"},
    {"text.ln_post.gain", "text_model.final_layer_norm.weight", "D"},
    {"text.ln_post.bias", "text_model.final_layer_norm.bias", "D"},
    {"text.projection", "text_projection.weight", "D,E", TensorUse::kAlways, true},
    {"logit_scale", "logit_scale", ""},
};

// Tensors that carry no weights of their own; the last part of the name decides.
constexpr std::string_view kOpenClipDerived[] = {"attn_mask", "logit_bias", "input_resolution",
                                                 "context_length", "vocab_size"};
constexpr std::string_view kHuggingFaceDerived[] = {"position_ids"};

// How a family writes its tensors.
struct Names {
  const char* family;
  // The tensor that tells it, found under any prefix ("state_dict.module.").
  std::string_view anchor;
  std::span<const TensorRow> rows;
  std::span<const std::string_view> derived;
};

constexpr Names kFamilies[] = {
    {"open_clip", "visual.class_embedding", kOpenClip, kOpenClipDerived},
    {"Hugging Face", "vision_model.embeddings.class_embedding", kHuggingFace, kHuggingFaceDerived},
};

// A directory with a configuration and weights, under the names that its makers give them. The
// first that is there counts.
struct DirectoryLayout {
  const char* name;
  const char* config;
  ModelConfig (*parse)(const Json& file, const std::string& name);
  std::array<const char*, 4> weights;
};

constexpr DirectoryLayout kDirectories[] = {
    {"open_clip directory",
     "open_clip_config.json",
     ParseOpenClipConfig,
     {"open_clip_model.safetensors", "open_clip_model.safetensors.index.json",
      "open_clip_pytorch_model.bin", "open_clip_pytorch_model.bin.index.json"}},
    {"Hugging Face directory",
     "config.json",
     ParseHuggingFaceConfig,
     {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
      "pytorch_model.bin.index.json"}},
};

// Models that are not evaluated, by what stands in a tensor's name.
struct RefusedTensor {
  std::string_view part;
  const char* reason;
};

constexpr RefusedTensor kRefusedTensors[] = {
    {"visual.layer1.", "its image tower is a ResNet, which is no sum over layers and heads"},
    {"visual.attnpool.", "its image tower pools by attention, as ResNets do"},
    {"visual.attn_pool", "its image tower pools by attention"},
    {"text_decoder.", "it is a CoCa model, with a text decoder"},
    {"visual.trunk.", "its image tower is one of timm's"},
    {"vision_model.head.", "it is a SigLIP model, which pools by attention"},
    {"text.transformer.", "its text tower is of another class (custom_text)"},
    {"text.encoder.", "its text tower is of another class (custom_text)"},
    {"qformer.", "it is a BLIP-2 model"},
    {".ln_q.", "its attention normalises queries and keys"},
    {".attn.logit_scale", "its attention is scaled cosine attention"},
};

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

bool IsVision(const TensorRow& row) { return std::string_view(row.name).starts_with("vision."); }

const TowerConfig& TowerOf(const TensorRow& row, const ModelConfig& config) {
  return IsVision(row) ? config.vision : config.text;
}

bool Uses(const ModelConfig& config, const TensorRow& row) {
  switch (row.use) {
    case TensorUse::kLnPre:
      return config.ln_pre;
    case TensorUse::kLayerScale:
      return TowerOf(row, config).layer_scale;
    case TensorUse::kAlways:
      break;
  }
  return true;
}

// Everything that is known of a model before its weights are read.
struct Opened {
  const Names* names = nullptr;
  std::unique_ptr<TensorFile> file;
  std::string prefix;     // of all its tensors' names: "state_dict.module."
  Checkpoint checkpoint;  // without tensors and fingerprint
};

// Throws for a model whose tensors say that it is not evaluated.
void RefuseKnown(const TensorFile& file, std::string_view prefix) {
  for (const auto& [name, info] : file.tensors()) {
    if (!name.starts_with(prefix)) continue;
    for (const RefusedTensor& refused : kRefusedTensors) {
      if (name.find(refused.part, prefix.size()) == std::string::npos) continue;
      throw Error(ErrorCode::kUnsupported, "{}: {} (tensor '{}'); such models are not supported",
                  PathText(file.FileOf(name)), refused.reason, Printable(name));
    }
  }
}

// The family of a file and the prefix of its names.
void FindFamily(Opened& opened) {
  const TensorFile& file = *opened.file;
  const std::string where = PathText(file.files().front());
  std::vector<std::pair<const Names*, std::string>> found;
  for (const Names& names : kFamilies) {
    for (const auto& [name, info] : file.tensors()) {
      if (!name.ends_with(names.anchor)) continue;
      const std::string prefix = name.substr(0, name.size() - names.anchor.size());
      if (prefix.empty() || prefix.ends_with('.')) found.emplace_back(&names, prefix);
    }
  }
  // Training checkpoints may hold averaged weights beside those of "state_dict".
  if (found.size() > 1) {
    const auto is_main = [](const auto& f) { return f.second.starts_with("state_dict."); };
    if (std::ranges::count_if(found, is_main) == 1) {
      found = {*std::ranges::find_if(found, is_main)};
    }
  }
  if (found.size() == 1) {
    opened.names = found.front().first;
    opened.prefix = found.front().second;
    RefuseKnown(file, opened.prefix);
    return;
  }
  if (found.size() > 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: holds {} models, under '{}' and '{}'; save the one that is meant", where,
                found.size(), Printable(found[0].second), Printable(found[1].second));
  }
  RefuseKnown(file, "");
  throw Error(ErrorCode::kUnsupported,
              "{}: no CLIP model: neither '{}' nor '{}' is among its {} tensors{}", where,
              kFamilies[0].anchor, kFamilies[1].anchor, file.tensors().size(),
              file.tensors().empty()
                  ? std::string()
                  : fmt::format(" ('{}' first)", Printable(file.tensors().begin()->first)));
}

Tensor ReadPart(const Opened& opened, const std::string& name, const std::vector<Index>& expected) {
  const TensorFile& file = *opened.file;
  const std::string full = opened.prefix + name;
  const auto found = file.tensors().find(full);
  if (found == file.tensors().end()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' is missing; the file does not hold the model of its configuration",
                PathText(file.FileOf(full)), Printable(full));
  }
  const std::vector<Index>& shape = found->second.shape;
  // A single number may be written as a list of one.
  const bool single = expected.empty() && shape == std::vector<Index>{1};
  if (shape != expected && !single) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, the configuration asks for {}; the weights belong "
                "to another configuration",
                PathText(file.FileOf(full)), Printable(full), ShapeText(shape),
                ShapeText(expected));
  }
  Tensor tensor{expected, file.ReadAsFloat(full)};
  for (const float v : tensor.values) {
    if (!std::isfinite(v)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' holds a value that is not finite; the checkpoint is damaged",
                  PathText(file.FileOf(full)), Printable(full));
    }
  }
  return tensor;
}

std::vector<std::string> PartsOf(const TensorRow& row, Index layer) {
  std::vector<std::string> parts;
  std::string_view rest = row.checkpoint;
  while (true) {
    const std::size_t bar = rest.find('|');
    parts.push_back(WithLayer(rest.substr(0, bar), layer));
    if (bar == std::string_view::npos) return parts;
    rest.remove_prefix(bar + 1);
  }
}

Tensor ReadRow(const Opened& opened, const TensorRow& row, Index layer,
               std::set<std::string, std::less<>>& used) {
  const ModelConfig& config = opened.checkpoint.config;
  Tensor tensor{ShapeOf(row.shape, TowerOf(row, config), config), {}};
  const std::vector<std::string> parts = PartsOf(row, layer);
  std::vector<Index> expected = tensor.shape;
  if (row.transposed) std::ranges::reverse(expected);
  if (parts.size() > 1) expected[0] /= static_cast<Index>(parts.size());
  for (const std::string& part : parts) {
    used.insert(opened.prefix + part);
    Tensor read = ReadPart(opened, part, expected);
    if (tensor.values.empty()) {
      tensor.values = std::move(read.values);
    } else {
      tensor.values.insert(tensor.values.end(), read.values.begin(), read.values.end());
    }
  }
  if (row.transposed) {
    const auto rows = ToSize(tensor.shape[0]);
    const auto columns = ToSize(tensor.shape[1]);
    std::vector<float> turned(tensor.values.size());
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) {
        turned[r * columns + c] = tensor.values[c * rows + r];
      }
    }
    tensor.values = std::move(turned);
  }
  return tensor;
}

// Refuses tensors that no row has read: passing over them would give wrong numbers.
void CheckLeftOver(const Opened& opened, const std::set<std::string, std::less<>>& used) {
  for (const auto& [name, info] : opened.file->tensors()) {
    if (used.contains(name)) continue;
    // What lies beside the model's own dictionary (an optimizer's state) is none of it.
    if (!name.starts_with(opened.prefix)) continue;
    const std::size_t point = name.rfind('.');
    const std::string_view last =
        std::string_view(name).substr(point == std::string::npos ? 0 : point + 1);
    if (std::ranges::find(opened.names->derived, last) != opened.names->derived.end()) continue;
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' {} has no place in the model of its configuration; the two do not "
                "belong together, or the model has parts that this version does not evaluate",
                PathText(opened.file->FileOf(name)), Printable(name), ShapeText(info.shape));
  }
}

// Folds the gains for each channel into the matrix and the bias before them.
void FoldLayerScale(TensorMap& tensors, const std::string& block, const std::string& part) {
  const auto scale = tensors.find(block + part + ".scale");
  const std::vector<float> gains = std::move(scale->second.values);
  tensors.erase(scale);
  std::vector<float>& weight = tensors.at(block + part + ".out.weight").values;
  std::vector<float>& bias = tensors.at(block + part + ".out.bias").values;
  const std::size_t inputs = weight.size() / gains.size();
  for (std::size_t o = 0; o < gains.size(); ++o) {
    const auto gain = static_cast<double>(gains[o]);
    bias[o] = static_cast<float>(gain * static_cast<double>(bias[o]));
    for (std::size_t i = 0; i < inputs; ++i) {
      float& w = weight[o * inputs + i];
      w = static_cast<float>(gain * static_cast<double>(w));
    }
  }
}

std::string Fingerprint(const Checkpoint& checkpoint) {
  const ModelConfig& c = checkpoint.config;
  const auto tower = [](const TowerConfig& t) {
    return Json{t.layers, t.width, t.heads, t.mlp_width, t.norm_epsilon};
  };
  Hasher hasher;
  hasher.Update(DumpJson({{"embed_width", c.embed_width},
                          {"quick_gelu", c.activation == Activation::kQuickGelu},
                          {"patch_size", c.patch_size},
                          {"tokens", c.tokens()},
                          {"ln_pre", c.ln_pre},
                          {"vision", tower(c.vision)},
                          {"text", tower(c.text)}}));
  for (const auto& [name, tensor] : checkpoint.tensors) {
    hasher.Update(name);
    hasher.Update({reinterpret_cast<const std::uint8_t*>(tensor.values.data()),
                   tensor.values.size() * sizeof(float)});
  }
  return hasher.Digest();
}

// Sizes from the tensors' shapes as OpenAI's build_model takes them: heads are 64 wide, MLPs four
// times the width, the activation is QuickGELU.
ModelConfig InferOpenAi(const Opened& opened) {
  const TensorFile& file = *opened.file;
  const std::string where = PathText(file.files().front());
  const auto shape = [&](const char* name, std::size_t axes) {
    const auto found = file.tensors().find(opened.prefix + name);
    if (found == file.tensors().end() || found->second.shape.size() != axes) {
      throw Error(
          ErrorCode::kCorruptData,
          "{}: tensor '{}{}' is missing or has no {} axes, so the sizes cannot be told; name "
          "the architecture with --arch",
          where, Printable(opened.prefix), name, axes);
    }
    return found->second.shape;
  };
  const auto layers = [&](std::string_view pattern) {
    Index count = 0;
    while (file.tensors().contains(opened.prefix + WithLayer(pattern, count))) ++count;
    return count;
  };
  // The bounds and their messages are those of a configuration file.
  const std::vector<Index> conv = shape("visual.conv1.weight", 4);
  const Index tokens = shape("visual.positional_embedding", 2)[0];
  constexpr Index kMaxSide = 4096;
  if (tokens < 2 || conv[3] > kMaxSide) {
    throw Error(ErrorCode::kCorruptData, "{}: {} image tokens of patches {} wide are no model's",
                where, tokens, conv[3]);
  }
  const auto grid = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(tokens - 1))));
  const Index text_width = shape("ln_final.weight", 1)[0];
  const Json config = {{"embed_dim", shape("text_projection", 2)[1]},
                       {"quick_gelu", true},
                       {"vision_cfg",
                        {{"image_size", conv[3] * std::min(grid, kMaxSide)},
                         {"patch_size", conv[3]},
                         {"layers", layers("visual.transformer.resblocks.{}.attn.in_proj_weight")},
                         {"width", conv[0]},
                         {"head_width", 64}}},
                       {"text_cfg",
                        {{"context_length", shape("positional_embedding", 2)[0]},
                         {"vocab_size", shape("token_embedding.weight", 2)[0]},
                         {"width", text_width},
                         {"heads", text_width / 64},
                         {"layers", layers("transformer.resblocks.{}.attn.in_proj_weight")}}}};
  ModelConfig result = ParseOpenClipConfig(config, where + ": sizes of its tensors");
  // OpenAI's archives say three of the sizes in tensors of their own.
  const std::pair<const char*, Index> said[] = {{"input_resolution", result.preprocess.image_size},
                                                {"context_length", result.context_length},
                                                {"vocab_size", result.vocabulary_size}};
  for (const auto& [name, size] : said) {
    const std::string full = opened.prefix + name;
    if (!file.tensors().contains(full)) continue;
    const double value = file.ReadScalar(full);
    if (value != static_cast<double>(size)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: '{}' is {}, the tensors' shapes say {}; the file is damaged", where,
                  Printable(full), value, size);
    }
  }
  return result;
}

// Whether a file says by itself that it is one of OpenAI's.
bool IsOpenAi(const Opened& opened) {
  return opened.names == &kFamilies[0] &&
         std::ranges::all_of(std::array{"input_resolution", "context_length", "vocab_size"},
                             [&](const char* name) {
                               return opened.file->tensors().contains(opened.prefix + name);
                             });
}

// The architectures whose sizes a file of weights has.
std::string Candidates(const Opened& opened) {
  std::vector<std::string_view> fit;
  for (const Architecture& a : Architectures()) {
    const ModelConfig config = ConfigOf(a);
    const bool fits = std::ranges::all_of(opened.names->rows, [&](const TensorRow& row) {
      if (!Uses(config, row)) return true;
      const bool layered = std::string_view(row.checkpoint).find("{}") != std::string_view::npos;
      const Index layers = TowerOf(row, config).layers;
      const std::vector<std::string> parts = PartsOf(row, layered ? layers - 1 : 0);
      std::vector<Index> expected = ShapeOf(row.shape, TowerOf(row, config), config);
      if (row.transposed) std::ranges::reverse(expected);
      if (parts.size() > 1) expected[0] /= static_cast<Index>(parts.size());
      const auto found = opened.file->tensors().find(opened.prefix + parts[0]);
      return found != opened.file->tensors().end() &&
             (expected.empty() || found->second.shape == expected) &&
             (!layered ||
              !opened.file->tensors().contains(opened.prefix + PartsOf(row, layers)[0]));
    });
    if (fits) fit.push_back(a.name);
  }
  if (fit.empty()) return "none of the known ones has its sizes";
  return fmt::format("its sizes are those of {}", fmt::join(fit, ", "));
}

void OpenFile(Opened& opened, const std::string& architecture) {
  Checkpoint& c = opened.checkpoint;
  opened.file = OpenTensorFile(c.path);
  FindFamily(opened);
  c.files = opened.file->files();
  const std::string kind = opened.file->kind();
  if (architecture == "openai" || (architecture.empty() && IsOpenAi(opened))) {
    if (opened.names != &kFamilies[0]) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: has Hugging Face's names of tensors, not OpenAI's; name its architecture "
                  "instead of openai",
                  PathText(c.path));
    }
    c.config = InferOpenAi(opened);
    c.layout = fmt::format("OpenAI's weights, {}", kind);
    return;
  }
  if (architecture.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: weights without a configuration; name the architecture with --arch (its "
                "activation cannot be told from the weights): {}; openai for weights that OpenAI "
                "trained",
                PathText(c.path), Candidates(opened));
  }
  if (architecture.ends_with(".json")) {
    std::error_code ignored;
    const fs::path file = fs::weakly_canonical(architecture, ignored);
    c.architecture = file.string();
    c.config = ParseOpenClipConfig(ReadJsonFile(file, kMaxConfigBytes), PathText(file));
    c.vocabulary = file.parent_path();
    c.files.insert(c.files.begin(), file);
  } else {
    c.config = FindArchitecture(architecture);
  }
  c.layout = fmt::format("weights with {} names, {}", opened.names->family, kind);
}

void ReadHuggingFacePreprocessor(Checkpoint& c) {
  std::error_code ignored;
  const Index image_size = c.config.preprocess.image_size;
  fs::path file = c.path / "preprocessor_config.json";
  const char* member = nullptr;
  if (!fs::exists(file, ignored)) {
    file = c.path / "processor_config.json";
    member = "image_processor";
    if (!fs::exists(file, ignored)) {
      Json defaults = Json::object();
      defaults["size"] = {{"shortest_edge", image_size}};
      defaults["crop_size"] = {{"height", image_size}, {"width", image_size}};
      c.config.preprocess = ParseHuggingFacePreprocessor(defaults, PathText(c.path));
      return;
    }
  }
  Json json = ReadJsonFile(file, kMaxConfigBytes);
  if (member != nullptr) {
    Json inner = JsonField<Json>(json, member, PathText(file));
    json = std::move(inner);
  }
  c.config.preprocess = ParseHuggingFacePreprocessor(json, PathText(file));
  c.files.push_back(file);
  if (c.config.preprocess.image_size != image_size) {
    throw Error(ErrorCode::kCorruptData,
                "{}: makes pictures of {} x {}, the model reads {} x {}; the two files do not "
                "belong together",
                PathText(file), c.config.preprocess.image_size, c.config.preprocess.image_size,
                image_size, image_size);
  }
}

// A directory's configuration; its weights are opened if `weights`.
void OpenDirectory(Opened& opened, const std::string& architecture, bool weights) {
  Checkpoint& c = opened.checkpoint;
  std::error_code ignored;
  const DirectoryLayout* layout = nullptr;
  const char* found = nullptr;
  std::string lacks;
  for (const DirectoryLayout& candidate : kDirectories) {
    if (found != nullptr || !fs::exists(c.path / candidate.config, ignored)) continue;
    for (const char* file : candidate.weights) {
      if (found == nullptr && fs::exists(c.path / file, ignored)) found = file;
    }
    if (found != nullptr) {
      layout = &candidate;
    } else {
      lacks += fmt::format("{}{} is there, but none of {}", lacks.empty() ? "" : "; ",
                           candidate.config, fmt::join(candidate.weights, ", "));
    }
  }
  if (layout == nullptr) {
    throw Error(ErrorCode::kNotFound,
                "{}: no model in it: {}; a model is a directory with {} or {} and weights, or a "
                "checkpoint file",
                PathText(c.path),
                lacks.empty() ? fmt::format("there is no {} and no {}", kDirectories[0].config,
                                            kDirectories[1].config)
                              : lacks,
                kDirectories[0].config, kDirectories[1].config);
  }
  if (!architecture.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: has a configuration of its own, {}; --arch is for a checkpoint file",
                PathText(c.path), layout->config);
  }
  const fs::path config = c.path / layout->config;
  c.config = layout->parse(ReadJsonFile(config, kMaxConfigBytes), PathText(config));
  c.vocabulary = c.path;
  c.files.push_back(config);
  if (layout == &kDirectories[1]) ReadHuggingFacePreprocessor(c);
  if (!weights) return;
  opened.file = OpenTensorFile(c.path / found);
  FindFamily(opened);
  for (const fs::path& file : opened.file->files()) c.files.push_back(file);
  c.layout = fmt::format("{}, {}", layout->name, opened.file->kind());
}

Opened Open(const fs::path& path, const std::string& architecture, bool weights) {
  Opened opened;
  Checkpoint& c = opened.checkpoint;
  std::error_code ignored;
  c.path = path;
  c.architecture = architecture;
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: no such model; give a directory, a checkpoint file, the name of a shipped "
                "model, or hf:ORG/NAME for one in the Hugging Face cache",
                PathText(path));
  }
  const fs::path named = fs::weakly_canonical(path, ignored);
  const bool directory = fs::is_directory(path, ignored);
  // In the hub's cache the directory is a commit; the repository's name stands two above it.
  fs::path name = ignored ? path : named;
  if (directory && name.parent_path().filename() == "snapshots") {
    name = name.parent_path().parent_path();
  }
  c.name = (directory ? name : path).filename().string();
  constexpr std::string_view kHubPrefix = "models--";
  if (directory && c.name.starts_with(kHubPrefix)) {
    c.name.erase(0, kHubPrefix.size());
    if (const std::size_t dashes = c.name.find("--"); dashes != std::string::npos) {
      c.name.replace(dashes, 2, "/");
    }
  }
  if (directory) {
    OpenDirectory(opened, architecture, weights);
  } else {
    OpenFile(opened, architecture);
  }
  return opened;
}

}  // namespace

std::span<const TensorRow> OpenClipTable() { return kOpenClip; }
std::span<const TensorRow> HuggingFaceTable() { return kHuggingFace; }

ModelConfig LoadConfig(const fs::path& path, const std::string& architecture) {
  return Open(path, architecture, /*weights=*/false).checkpoint.config;
}

Checkpoint LoadCheckpoint(const fs::path& path, const std::string& architecture) {
  Opened opened = Open(path, architecture, /*weights=*/true);
  Checkpoint& checkpoint = opened.checkpoint;
  std::set<std::string, std::less<>> used;
  for (const TensorRow& row : opened.names->rows) {
    if (!Uses(checkpoint.config, row)) continue;
    const bool layered = std::string_view(row.name).find("{}") != std::string_view::npos;
    const Index layers = layered ? TowerOf(row, checkpoint.config).layers : 1;
    for (Index l = 0; l < layers; ++l) {
      checkpoint.tensors[WithLayer(row.name, l)] = ReadRow(opened, row, l, used);
    }
  }
  CheckLeftOver(opened, used);
  const std::pair<const char*, const TowerConfig*> towers[] = {
      {"vision", &checkpoint.config.vision}, {"text", &checkpoint.config.text}};
  for (const auto& [tower, config] : towers) {
    if (!config->layer_scale) continue;
    for (Index l = 0; l < config->layers; ++l) {
      const std::string block = fmt::format("{}.block.{}.", tower, l);
      FoldLayerScale(checkpoint.tensors, block, "attn");
      FoldLayerScale(checkpoint.tensors, block, "mlp");
    }
  }
  checkpoint.fingerprint = Fingerprint(checkpoint);
  return std::move(checkpoint);
}

}  // namespace cliplens
