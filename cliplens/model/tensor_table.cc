#include "cliplens/model/tensor_table.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace cliplens {
namespace {

// A row as it is written here. The shape kRowsOfBlock stands for the rows of a block, whose names
// follow those of this row.
struct Row {
  const char* name;
  const char* in_file;
  const char* shape;
  TensorUse use = TensorUse::kAlways;
  bool transposed = false;
};
constexpr const char* kRowsOfBlock = nullptr;

constexpr Row kOpenClipBlock[] = {
    {"ln1.gain", "ln_1.weight", "D"},
    {"ln1.bias", "ln_1.bias", "D"},
    {"attn.in.weight", "attn.in_proj_weight", "3D,D"},
    {"attn.in.bias", "attn.in_proj_bias", "3D"},
    {"attn.out.weight", "attn.out_proj.weight", "D,D"},
    {"attn.out.bias", "attn.out_proj.bias", "D"},
    {"ln2.gain", "ln_2.weight", "D"},
    {"ln2.bias", "ln_2.bias", "D"},
    {"mlp.in.weight", "mlp.c_fc.weight", "F,D"},
    {"mlp.in.bias", "mlp.c_fc.bias", "F"},
    {"mlp.out.weight", "mlp.c_proj.weight", "D,F"},
    {"mlp.out.bias", "mlp.c_proj.bias", "D"},
    {"attn.scale", "ls_1.gamma", "D", TensorUse::kLayerScale},
    {"mlp.scale", "ls_2.gamma", "D", TensorUse::kLayerScale},
};

constexpr Row kOpenClip[] = {
    {"vision.patch.weight", "visual.conv1.weight", "D,3,P,P"},
    {"vision.class", "visual.class_embedding", "D"},
    {"vision.position", "visual.positional_embedding", "N,D"},
    {"vision.ln_pre.gain", "visual.ln_pre.weight", "D", TensorUse::kLnPre},
    {"vision.ln_pre.bias", "visual.ln_pre.bias", "D", TensorUse::kLnPre},
    {"vision.block.{}.", "visual.transformer.resblocks.{}.", kRowsOfBlock},
    {"vision.ln_post.gain", "visual.ln_post.weight", "D"},
    {"vision.ln_post.bias", "visual.ln_post.bias", "D"},
    {"vision.projection", "visual.proj", "D,E"},
    {"text.token", "token_embedding.weight", "V,D"},
    {"text.position", "positional_embedding", "T,D"},
    {"text.block.{}.", "transformer.resblocks.{}.", kRowsOfBlock},
    {"text.ln_post.gain", "ln_final.weight", "D"},
    {"text.ln_post.bias", "ln_final.bias", "D"},
    {"text.projection", "text_projection", "D,E"},
    {"logit_scale", "logit_scale", "", TensorUse::kLogitScale},
};

constexpr Row kHuggingFaceBlock[] = {
    {"ln1.gain", "layer_norm1.weight", "D"},
    {"ln1.bias", "layer_norm1.bias", "D"},
    {"attn.in.weight", "self_attn.q_proj.weight|self_attn.k_proj.weight|self_attn.v_proj.weight",
     "3D,D"},
    {"attn.in.bias", "self_attn.q_proj.bias|self_attn.k_proj.bias|self_attn.v_proj.bias", "3D"},
    {"attn.out.weight", "self_attn.out_proj.weight", "D,D"},
    {"attn.out.bias", "self_attn.out_proj.bias", "D"},
    {"ln2.gain", "layer_norm2.weight", "D"},
    {"ln2.bias", "layer_norm2.bias", "D"},
    {"mlp.in.weight", "mlp.fc1.weight", "F,D"},
    {"mlp.in.bias", "mlp.fc1.bias", "F"},
    {"mlp.out.weight", "mlp.fc2.weight", "D,F"},
    {"mlp.out.bias", "mlp.fc2.bias", "D"},
};

constexpr Row kHuggingFace[] = {
    {"vision.patch.weight", "vision_model.embeddings.patch_embedding.weight", "D,3,P,P"},
    {"vision.class", "vision_model.embeddings.class_embedding", "D"},
    {"vision.position", "vision_model.embeddings.position_embedding.weight", "N,D"},
    {"vision.ln_pre.gain", "vision_model.pre_layrnorm.weight", "D"},
    {"vision.ln_pre.bias", "vision_model.pre_layrnorm.bias", "D"},
    {"vision.block.{}.", "vision_model.encoder.layers.{}.", kRowsOfBlock},
    {"vision.ln_post.gain", "vision_model.post_layernorm.weight", "D"},
    {"vision.ln_post.bias", "vision_model.post_layernorm.bias", "D"},
    {"vision.projection", "visual_projection.weight", "D,E", TensorUse::kAlways, true},
    {"text.token", "text_model.embeddings.token_embedding.weight", "V,D"},
    {"text.position", "text_model.embeddings.position_embedding.weight", "T,D"},
    {"text.block.{}.", "text_model.encoder.layers.{}.", kRowsOfBlock},
    {"text.ln_post.gain", "text_model.final_layer_norm.weight", "D"},
    {"text.ln_post.bias", "text_model.final_layer_norm.bias", "D"},
    {"text.projection", "text_projection.weight", "D,E", TensorUse::kAlways, true},
    {"logit_scale", "logit_scale", "", TensorUse::kLogitScale},
};

constexpr std::string_view kOpenClipNoWeights[] = {"attn_mask", "logit_bias", "input_resolution",
                                                   "context_length", "vocab_size"};
constexpr std::string_view kHuggingFaceNoWeights[] = {"position_ids"};

// The table of a family, with the rows of its blocks written out.
std::vector<TensorRow> TableOf(std::span<const Row> rows, std::span<const Row> block) {
  std::vector<TensorRow> table;
  for (const Row& row : rows) {
    if (row.shape != kRowsOfBlock) {
      table.push_back({row.name, row.in_file, row.shape, row.use, row.transposed});
      continue;
    }
    for (const Row& inner : block) {
      std::string in_file = row.in_file;
      for (const char c : std::string_view(inner.in_file)) {
        in_file += c;
        if (c == '|') in_file += row.in_file;
      }
      table.push_back({std::string(row.name) + inner.name, std::move(in_file), inner.shape,
                       inner.use, inner.transposed});
    }
  }
  return table;
}

constexpr RefusedTensor kRefusedTensors[] = {
    {"visual.layer1.", "its image tower is a ResNet, which is no sum over layers and heads"},
    {"visual.attnpool.", "its image tower pools by attention, as ResNets do"},
    {"visual.attn_pool", "its image tower pools by attention"},
    {"text_decoder.", "it is a CoCa model, with a text decoder"},
    {"visual.trunk.", "its image tower is one of timm's"},
    {"vision_model.head.", "it is a SigLIP model, which pools by attention"},
    {"text.transformer.", "its text tower is of another class (custom_text)", true},
    {"text.encoder.", "its text tower is of another class (custom_text)", true},
    {"qformer.", "it is a BLIP-2 model"},
    {"audio_branch.", "it is a CLAP model, which embeds sounds, not pictures"},
    {"audio_model.", "it is a CLAP model, which embeds sounds, not pictures"},
    {"classifier.weight", "it is an image tower with a classifier (CLIPForImageClassification)"},
    {".ln_q.", "its attention normalises queries and keys"},
    {".attn.logit_scale", "its attention is scaled cosine attention"},
};

const TowerConfig& TowerOf(const TensorRow& row, const ModelConfig& config) {
  return row.name.starts_with("vision.") ? config.vision : config.text;
}

}  // namespace

std::span<const TensorFamily> TensorFamilies() {
  static const TensorFamily families[] = {
      {"open_clip", "visual.class_embedding", TableOf(kOpenClip, kOpenClipBlock),
       kOpenClipNoWeights, "text."},
      {"Hugging Face", "vision_model.embeddings.class_embedding",
       TableOf(kHuggingFace, kHuggingFaceBlock), kHuggingFaceNoWeights, ""},
  };
  return families;
}

const TensorFamily& OpenClipFamily() { return TensorFamilies()[0]; }
const TensorFamily& HuggingFaceFamily() { return TensorFamilies()[1]; }
std::span<const RefusedTensor> RefusedTensors() { return kRefusedTensors; }

bool Uses(const ModelConfig& config, const TensorRow& row) {
  if (!config.has_text() && row.name.starts_with("text.")) return false;
  switch (row.use) {
    case TensorUse::kLogitScale:
      return config.logit_scale;
    case TensorUse::kLnPre:
      return config.ln_pre;
    case TensorUse::kLayerScale:
      return TowerOf(row, config).layer_scale;
    case TensorUse::kAlways:
      break;
  }
  return true;
}

bool IsInLayers(const TensorRow& row) { return row.name.find("{}") != std::string::npos; }

Index LayersOf(const TensorRow& row, const ModelConfig& config) {
  return IsInLayers(row) ? TowerOf(row, config).layers : 1;
}

std::string WithLayer(std::string_view pattern, Index layer) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), layer, pattern.substr(at + 2));
}

std::vector<std::string> NamesInFile(const TensorRow& row, Index layer) {
  std::vector<std::string> names;
  std::string_view rest = row.in_file;
  while (true) {
    const std::size_t bar = rest.find('|');
    names.push_back(WithLayer(rest.substr(0, bar), layer));
    if (bar == std::string_view::npos) return names;
    rest.remove_prefix(bar + 1);
  }
}

std::vector<Index> ShapeOf(const TensorRow& row, const ModelConfig& config) {
  const TowerConfig& tower = TowerOf(row, config);
  const std::pair<char, Index> sizes[] = {{'D', tower.width},           {'F', tower.mlp_width},
                                          {'P', config.patch_size},     {'N', config.tokens()},
                                          {'T', config.context_length}, {'E', config.embed_width},
                                          {'V', config.vocabulary_size}};
  std::vector<Index> shape;
  std::string_view letters = row.shape;
  while (!letters.empty()) {
    const std::size_t comma = std::min(letters.find(','), letters.size());
    std::string_view axis = letters.substr(0, comma);
    letters.remove_prefix(std::min(comma + 1, letters.size()));
    Index size = 1;
    if (axis.front() >= '0' && axis.front() <= '9') {
      size = axis.front() - '0';
      axis.remove_prefix(1);
    }
    for (const auto& [letter, length] : sizes) {
      if (axis.starts_with(letter)) size *= length;
    }
    shape.push_back(size);
  }
  return shape;
}

std::vector<Index> ShapeInFile(const TensorRow& row, const ModelConfig& config) {
  std::vector<Index> shape = ShapeOf(row, config);
  if (row.transposed) std::ranges::reverse(shape);
  const Index joined = 1 + std::ranges::count(row.in_file, '|');
  if (joined > 1) shape[0] /= joined;
  return shape;
}

}  // namespace cliplens
