#include "cliplens/model/tensor_table.h"

#include <algorithm>
#include <numeric>
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

constexpr TensorUse kOfCoca = TensorUse::kCocaPool;

constexpr Row kOpenClipImage[] = {
    {"vision.patch.weight", "visual.conv1.weight", "D,3,P,P"},
    {"vision.class", "visual.class_embedding", "D"},
    {"vision.position", "visual.positional_embedding", "N,D"},
    {"vision.ln_pre.gain", "visual.ln_pre.weight", "D", TensorUse::kLnPre},
    {"vision.ln_pre.bias", "visual.ln_pre.bias", "D", TensorUse::kLnPre},
    {"vision.block.{}.", "visual.transformer.resblocks.{}.", kRowsOfBlock},
    {"vision.ln_post.gain", "visual.ln_post.weight", "D", TensorUse::kNoCocaPool},
    {"vision.ln_post.bias", "visual.ln_post.bias", "D", TensorUse::kNoCocaPool},
    {"vision.ln_post.gain", "visual.attn_pool.ln_k.weight", "D", kOfCoca},
    {"vision.ln_post.bias", "visual.attn_pool.ln_k.bias", "D", kOfCoca},
    {"vision.pool.probe", "visual.attn_pool.query", "Q,W", kOfCoca},
    {"vision.pool.probe_ln.gain", "visual.attn_pool.ln_q.weight", "W", kOfCoca},
    {"vision.pool.probe_ln.bias", "visual.attn_pool.ln_q.bias", "W", kOfCoca},
    {"vision.pool.in.weight", "visual.attn_pool.attn.in_proj_weight", "3W,D",
     TensorUse::kCocaPoolWhole},
    {"vision.pool.query.weight", "visual.attn_pool.attn.q_proj_weight", "W,W",
     TensorUse::kCocaPoolApart},
    {"vision.pool.in.weight",
     "visual.attn_pool.attn.k_proj_weight|visual.attn_pool.attn.v_proj_weight", "2W,D",
     TensorUse::kCocaPoolApart},
    {"vision.pool.in.bias", "visual.attn_pool.attn.in_proj_bias", "3W", kOfCoca},
    {"vision.pool.out.weight", "visual.attn_pool.attn.out_proj.weight", "W,W", kOfCoca},
    {"vision.pool.out.bias", "visual.attn_pool.attn.out_proj.bias", "W", kOfCoca},
    {"vision.pool.ln.gain", "visual.ln_post.weight", "W", kOfCoca},
    {"vision.pool.ln.bias", "visual.ln_post.bias", "W", kOfCoca},
    {"vision.projection", "visual.proj", "D,E", TensorUse::kNoCocaPool},
    {"vision.projection", "visual.proj", "W,E", kOfCoca},
};

constexpr Row kOpenClipText[] = {
    {"text.token", "token_embedding.weight", "V,D"},
    {"text.class", "cls_emb", "D", TensorUse::kTextClass},
    {"text.position", "positional_embedding", "T,D"},
    {"text.block.{}.", "transformer.resblocks.{}.", kRowsOfBlock},
    {"text.ln_post.gain", "ln_final.weight", "D"},
    {"text.ln_post.bias", "ln_final.bias", "D"},
    {"text.projection", "text_projection", "D,E", TensorUse::kTextProjection},
    {"text.projection", "text_projection.weight", "D,E", TensorUse::kTextProjectionBias, true},
    {"text.projection.bias", "text_projection.bias", "E", TensorUse::kTextProjectionBias},
};

constexpr Row kTimmBlock[] = {
    {"ln1.gain", "norm1.weight", "D"},
    {"ln1.bias", "norm1.bias", "D"},
    {"attn.in.weight", "attn.qkv.weight", "3D,D", TensorUse::kWholeQkv},
    {"attn.in.bias", "attn.qkv.bias", "3D", TensorUse::kWholeQkv},
    {"attn.in.weight", "attn.qkv.weight", "3D,D", TensorUse::kWholeQkvWithoutKeyBias},
    {"attn.in.bias", "attn.q_bias|0:|attn.v_bias", "3D", TensorUse::kWholeQkvWithoutKeyBias},
    {"attn.in.weight", "attn.qkv.weight", "3D,D", TensorUse::kWholeQkvWithoutBias},
    {"attn.in.bias", "0:", "3D", TensorUse::kWholeQkvWithoutBias},
    {"attn.in.weight", "attn.q_proj.weight|attn.k_proj.weight|attn.v_proj.weight", "3D,D",
     TensorUse::kApartQkv},
    {"attn.in.bias", "attn.q_proj.bias|0:|attn.v_proj.bias", "3D", TensorUse::kApartQkv},
    {"attn.norm.gain", "attn.norm.weight", "D", TensorUse::kSubNorm},
    {"attn.norm.bias", "attn.norm.bias", "D", TensorUse::kSubNorm},
    {"attn.out.weight", "attn.proj.weight", "D,D"},
    {"attn.out.bias", "attn.proj.bias", "D"},
    {"ln2.gain", "norm2.weight", "D"},
    {"ln2.bias", "norm2.bias", "D"},
    {"mlp.in.weight", "mlp.fc1.weight", "F,D", TensorUse::kPlainMlp},
    {"mlp.in.bias", "mlp.fc1.bias", "F", TensorUse::kPlainMlp},
    {"mlp.in.weight", "mlp.fc1_g.weight|mlp.fc1_x.weight", "2F,D", TensorUse::kSwiGlu},
    {"mlp.in.bias", "mlp.fc1_g.bias|mlp.fc1_x.bias", "2F", TensorUse::kSwiGlu},
    {"mlp.norm.gain", "mlp.norm.weight", "F", TensorUse::kSwiGlu},
    {"mlp.norm.bias", "mlp.norm.bias", "F", TensorUse::kSwiGlu},
    {"mlp.out.weight", "mlp.fc2.weight", "D,F", TensorUse::kNotGeGlu},
    {"mlp.out.bias", "mlp.fc2.bias", "D", TensorUse::kNotGeGlu},
    {"mlp.norm.gain", "mlp.norm.weight", "D", TensorUse::kGeGlu},
    {"mlp.norm.bias", "mlp.norm.bias", "D", TensorUse::kGeGlu},
    {"mlp.in.weight", "mlp.w0.weight|mlp.w1.weight", "2F,D", TensorUse::kGeGlu},
    {"mlp.in.bias", "mlp.w0.bias|mlp.w1.bias", "2F", TensorUse::kGeGlu},
    {"mlp.out.weight", "mlp.w2.weight", "D,F", TensorUse::kGeGlu},
    {"mlp.out.bias", "mlp.w2.bias", "D", TensorUse::kGeGlu},
    {"attn.scale", "ls1.gamma", "D", TensorUse::kLayerScale},
    {"mlp.scale", "ls2.gamma", "D", TensorUse::kLayerScale},
};

constexpr TensorUse kPool = TensorUse::kAttentionPool;

constexpr Row kTimmImage[] = {
    {"vision.patch.weight", "visual.trunk.patch_embed.proj.weight", "D,3,P,P", TensorUse::kPatches},
    {"vision.patch.bias", "visual.trunk.patch_embed.proj.bias", "D", TensorUse::kPatchBias},
    {"vision.class", "visual.trunk.cls_token", "1,1,D", TensorUse::kClassToken},
    {"vision.registers", "visual.trunk.reg_token", "1,R,D", TensorUse::kRegisters},
    {"vision.position", "visual.trunk.pos_embed", "1,S,D", TensorUse::kPositions},
    {"vision.ln_pre.gain", "visual.trunk.norm_pre.weight", "D", TensorUse::kLnPre},
    {"vision.ln_pre.bias", "visual.trunk.norm_pre.bias", "D", TensorUse::kLnPre},
    {"vision.block.{}.", "visual.trunk.blocks.{}.", kRowsOfBlock},
    {"vision.ln_post.gain", "visual.trunk.norm.weight", "D", TensorUse::kRowNorm},
    {"vision.ln_post.bias", "visual.trunk.norm.bias", "D", TensorUse::kRowNorm},
    {"vision.ln_post.gain", "visual.trunk.fc_norm.weight", "D", TensorUse::kMeanNorm},
    {"vision.ln_post.bias", "visual.trunk.fc_norm.bias", "D", TensorUse::kMeanNorm},
    {"vision.pool.probe", "visual.trunk.attn_pool.latent", "1,1,D", kPool},
    {"vision.pool.in.weight", "visual.trunk.attn_pool.q.weight|2:visual.trunk.attn_pool.kv.weight",
     "3D,D", kPool},
    {"vision.pool.in.bias", "visual.trunk.attn_pool.q.bias|2:visual.trunk.attn_pool.kv.bias", "3D",
     kPool},
    {"vision.pool.out.weight", "visual.trunk.attn_pool.proj.weight", "D,D", kPool},
    {"vision.pool.out.bias", "visual.trunk.attn_pool.proj.bias", "D", kPool},
    {"vision.pool.ln.gain", "visual.trunk.attn_pool.norm.weight", "D", kPool},
    {"vision.pool.ln.bias", "visual.trunk.attn_pool.norm.bias", "D", kPool},
    {"vision.pool.mlp.in.weight", "visual.trunk.attn_pool.mlp.fc1.weight", "G,D", kPool},
    {"vision.pool.mlp.in.bias", "visual.trunk.attn_pool.mlp.fc1.bias", "G", kPool},
    {"vision.pool.mlp.out.weight", "visual.trunk.attn_pool.mlp.fc2.weight", "D,G", kPool},
    {"vision.pool.mlp.out.bias", "visual.trunk.attn_pool.mlp.fc2.bias", "D", kPool},
    {"vision.projection", "visual.head.proj.weight", "D,E", TensorUse::kProjection, true},
    {"vision.projection.bias", "visual.head.proj.bias", "E", TensorUse::kProjectionBias},
    {"vision.projection", "visual.trunk.head.weight", "D,E", TensorUse::kClassifier, true},
    {"vision.projection.bias", "visual.trunk.head.bias", "E", TensorUse::kClassifier},
};

constexpr TensorUse kConvolutions = TensorUse::kConvolutions;
constexpr TensorUse kMbConv = TensorUse::kMbConv;

// Of convolutions in front of timm's towers, under "vision.stem." and timm's "backbone.".
constexpr Row kTimmStem[] = {
    {"0.weight", "0.conv.weight", "C,3,4,4", kConvolutions},
    {"0.norm.gain", "0.bn.weight", "C", kConvolutions},
    {"0.norm.bias", "0.bn.bias", "C", kConvolutions},
    {"0.norm.mean", "0.bn.running_mean", "C", kConvolutions},
    {"0.norm.variance", "0.bn.running_var", "C", kConvolutions},
    {"1.weight", "1.conv.weight", "C,C,2,2", kConvolutions},
    {"1.norm.gain", "1.bn.weight", "C", kConvolutions},
    {"1.norm.bias", "1.bn.bias", "C", kConvolutions},
    {"1.norm.mean", "1.bn.running_mean", "C", kConvolutions},
    {"1.norm.variance", "1.bn.running_var", "C", kConvolutions},
    {"2.weight", "2.conv.weight", "D,C,2,2", kConvolutions},
    {"2.bias", "2.conv.bias", "D", kConvolutions},
    {"0.weight", "stem.conv1.weight", "C,3,3,3", kMbConv},
    {"0.bias", "stem.conv1.bias", "C", kMbConv},
    {"0.norm.gain", "stem.norm1.weight", "C", kMbConv},
    {"0.norm.bias", "stem.norm1.bias", "C", kMbConv},
    {"1.weight", "stem.conv2.weight", "C,C,3,3", kMbConv},
    {"1.bias", "stem.conv2.bias", "C", kMbConv},
    {"2.norm.gain", "pool.norm.weight", "2C", kMbConv},
    {"2.norm.bias", "pool.norm.bias", "2C", kMbConv},
    {"2.weight", "pool.proj.weight", "D,2C,3,3", kMbConv},
    {"2.bias", "pool.proj.bias", "D", kMbConv},
};

// Of an inverted bottleneck. I, M and O stand for its channels: of its input, within, of its
// output.
constexpr Row kTimmBottleneck[] = {
    {"norm.gain", "pre_norm.weight", "I"},          {"norm.bias", "pre_norm.bias", "I"},
    {"in.weight", "conv1_1x1.weight", "M,I,1,1"},   {"in.bias", "conv1_1x1.bias", "M"},
    {"deep.weight", "conv2_kxk.weight", "M,1,3,3"}, {"deep.bias", "conv2_kxk.bias", "M"},
    {"out.weight", "conv3_1x1.weight", "O,M,1,1"},  {"out.bias", "conv3_1x1.bias", "O"},
};
constexpr Row kTimmShortcut[] = {
    {"shortcut.weight", "shortcut.expand.weight", "O,I,1,1"},
    {"shortcut.bias", "shortcut.expand.bias", "O"},
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

constexpr Row kHuggingFaceImage[] = {
    {"vision.patch.weight", "vision_model.embeddings.patch_embedding.weight", "D,3,P,P"},
    {"vision.class", "vision_model.embeddings.class_embedding", "D"},
    {"vision.position", "vision_model.embeddings.position_embedding.weight", "N,D"},
    {"vision.ln_pre.gain", "vision_model.pre_layrnorm.weight", "D"},
    {"vision.ln_pre.bias", "vision_model.pre_layrnorm.bias", "D"},
    {"vision.block.{}.", "vision_model.encoder.layers.{}.", kRowsOfBlock},
    {"vision.ln_post.gain", "vision_model.post_layernorm.weight", "D"},
    {"vision.ln_post.bias", "vision_model.post_layernorm.bias", "D"},
    {"vision.projection", "visual_projection.weight", "D,E", TensorUse::kAlways, true},
};

constexpr Row kHuggingFaceText[] = {
    {"text.token", "text_model.embeddings.token_embedding.weight", "V,D"},
    {"text.position", "text_model.embeddings.position_embedding.weight", "T,D"},
    {"text.block.{}.", "text_model.encoder.layers.{}.", kRowsOfBlock},
    {"text.ln_post.gain", "text_model.final_layer_norm.weight", "D"},
    {"text.ln_post.bias", "text_model.final_layer_norm.bias", "D"},
    {"text.projection", "text_projection.weight", "D,E", TensorUse::kTextProjection, true},
    // SigLIP's.
    {"text.projection", "text_model.head.weight", "D,E", TensorUse::kTextProjectionBias, true},
    {"text.projection.bias", "text_model.head.bias", "E", TensorUse::kTextProjectionBias},
};

constexpr Row kSiglipImage[] = {
    {"vision.patch.weight", "embeddings.patch_embedding.weight", "D,3,P,P"},
    {"vision.patch.bias", "embeddings.patch_embedding.bias", "D"},
    {"vision.position", "embeddings.position_embedding.weight", "N,D"},
    {"vision.block.{}.", "encoder.layers.{}.", kRowsOfBlock},
    {"vision.ln_post.gain", "post_layernorm.weight", "D"},
    {"vision.ln_post.bias", "post_layernorm.bias", "D"},
    {"vision.pool.probe", "head.probe", "1,1,D"},
    {"vision.pool.in.weight", "head.attention.in_proj_weight", "3D,D"},
    {"vision.pool.in.bias", "head.attention.in_proj_bias", "3D"},
    {"vision.pool.out.weight", "head.attention.out_proj.weight", "D,D"},
    {"vision.pool.out.bias", "head.attention.out_proj.bias", "D"},
    {"vision.pool.ln.gain", "head.layernorm.weight", "D"},
    {"vision.pool.ln.bias", "head.layernorm.bias", "D"},
    {"vision.pool.mlp.in.weight", "head.mlp.fc1.weight", "G,D"},
    {"vision.pool.mlp.in.bias", "head.mlp.fc1.bias", "G"},
    {"vision.pool.mlp.out.weight", "head.mlp.fc2.weight", "D,G"},
    {"vision.pool.mlp.out.bias", "head.mlp.fc2.bias", "D"},
};

// Of both towers.
constexpr Row kScores[] = {
    {"logit_scale", "logit_scale", "", TensorUse::kLogitScale},
    {"logit_bias", "logit_bias", "", TensorUse::kLogitBias},
};

constexpr std::string_view kOpenClipNoWeights[] = {"attn_mask",        "logit_bias",
                                                   "input_resolution", "context_length",
                                                   "vocab_size",       "num_batches_tracked"};
constexpr std::string_view kHuggingFaceNoWeights[] = {"position_ids"};

// The rows of a tower, with those of its blocks.
struct TowerTable {
  std::span<const Row> rows;
  std::span<const Row> block;
  std::string prefix = {};  // of all names in the file
  std::vector<TensorRow> stem = {};
};

// With two stages of bottlenecks, of C and 2C channels, the inner ones four times as many.
std::vector<TensorRow> StemRows() {
  const std::string ours = "vision.stem.";
  const std::string theirs = "visual.trunk.patch_embed.backbone.";
  std::vector<TensorRow> table;
  for (const Row& row : kTimmStem) {
    table.push_back({ours + row.name, theirs + row.in_file, row.shape, row.use});
  }
  constexpr int kBlocks[] = {2, 4};
  for (int stage = 0; stage < 2; ++stage) {
    for (int block = 0; block < kBlocks[stage]; ++block) {
      const bool widens = stage == 1 && block == 0;
      const auto add = [&](const Row& row) {
        std::string shape = row.shape;
        const auto put = [&](char letter, const char* channels) {
          const std::size_t at = shape.find(letter);
          if (at != std::string::npos) shape.replace(at, 1, channels);
        };
        put('I', stage == 0 || widens ? "C" : "2C");
        put('M', stage == 0 ? "4C" : "8C");
        put('O', stage == 0 ? "C" : "2C");
        table.push_back({fmt::format("{}stage.{}.{}.{}", ours, stage, block, row.name),
                         fmt::format("{}stages.{}.{}.{}", theirs, stage, block, row.in_file),
                         std::move(shape), kMbConv});
      };
      for (const Row& row : kTimmBottleneck) add(row);
      for (const Row& row : kTimmShortcut) {
        if (widens) add(row);
      }
    }
  }
  return table;
}

void AddRows(const TowerTable& tower, std::vector<TensorRow>& table) {
  table.insert(table.end(), tower.stem.begin(), tower.stem.end());
  for (const Row& row : tower.rows) {
    const std::string outer = tower.prefix + row.in_file;
    if (row.shape != kRowsOfBlock) {
      table.push_back({row.name, outer, row.shape, row.use, row.transposed});
      continue;
    }
    for (const Row& inner : tower.block) {
      std::string in_file = outer;
      for (const char c : std::string_view(inner.in_file)) {
        in_file += c;
        if (c == '|') in_file += outer;
      }
      table.push_back({std::string(row.name) + inner.name, std::move(in_file), inner.shape,
                       inner.use, inner.transposed});
    }
  }
}

// The table of a family.
std::vector<TensorRow> TableOf(const TowerTable& image, const TowerTable& text) {
  std::vector<TensorRow> table;
  AddRows(image, table);
  AddRows(text, table);
  AddRows({kScores, {}}, table);
  return table;
}

constexpr RefusedTensor kRefusedTensors[] = {
    {"visual.layer1.", "its image tower is a ResNet, which is no sum over layers and heads"},
    {"visual.attnpool.", "its image tower pools by attention, as ResNets do"},
    {"text.encoder.", "its text tower is of another class (custom_text)", true},
    {"qformer.", "it is a BLIP-2 model"},
    {"audio_branch.", "it is a CLAP model, which embeds sounds, not pictures"},
    {"audio_model.", "it is a CLAP model, which embeds sounds, not pictures"},
    {"classifier.weight", "it is an image tower with a classifier (CLIPForImageClassification)"},
    {".attn.ln_q.", "its attention normalises queries and keys"},
    {".attn.logit_scale", "its attention is scaled cosine attention"},
};

const TowerConfig& TowerOf(const TensorRow& row, const ModelConfig& config) {
  return row.name.starts_with("vision.") ? config.vision : config.text;
}

}  // namespace

std::span<const TensorFamily> TensorFamilies() {
  static const TowerTable open_clip{kOpenClipImage, kOpenClipBlock};
  static const TowerTable timm{kTimmImage, kTimmBlock, "", StemRows()};
  static const TowerTable text{kOpenClipText, kOpenClipBlock};
  static const TowerTable custom_text{kOpenClipText, kOpenClipBlock, "text."};
  static const TowerTable hugging_face_text{kHuggingFaceText, kHuggingFaceBlock};
  constexpr std::string_view kBackbone = "visual.trunk.patch_embed.backbone.";
  static const std::string convolutions = std::string(kBackbone) + "0.conv.weight";
  static const std::string mb_conv = std::string(kBackbone) + "stem.conv1.weight";
  // A tensor is the anchor of the first family that it fits.
  constexpr std::string_view kCustomText = "text.positional_embedding";
  static const TensorFamily families[] = {
      {"open_clip", "visual.class_embedding", kCustomText, TableOf(open_clip, custom_text),
       kOpenClipNoWeights, ""},
      {"open_clip", "visual.class_embedding", "", TableOf(open_clip, text), kOpenClipNoWeights,
       "text."},
      {"open_clip", "visual.trunk.patch_embed.proj.weight", kCustomText, TableOf(timm, custom_text),
       kOpenClipNoWeights, ""},
      {"open_clip", "visual.trunk.patch_embed.proj.weight", "", TableOf(timm, text),
       kOpenClipNoWeights, "text."},
      {"Hugging Face", "vision_model.embeddings.class_embedding", "",
       TableOf({kHuggingFaceImage, kHuggingFaceBlock}, hugging_face_text), kHuggingFaceNoWeights,
       ""},
      {"Hugging Face", "vision_model.head.probe", "",
       TableOf({kSiglipImage, kHuggingFaceBlock, "vision_model."}, hugging_face_text),
       kHuggingFaceNoWeights, ""},
      // SiglipVisionModel, as transformers 5 writes it.
      {"Hugging Face", "head.probe", "",
       TableOf({kSiglipImage, kHuggingFaceBlock}, hugging_face_text), kHuggingFaceNoWeights, ""},
      {"open_clip", convolutions, kCustomText, TableOf(timm, custom_text), kOpenClipNoWeights, ""},
      {"open_clip", convolutions, "", TableOf(timm, text), kOpenClipNoWeights, "text."},
      {"open_clip", mb_conv, kCustomText, TableOf(timm, custom_text), kOpenClipNoWeights, ""},
      {"open_clip", mb_conv, "", TableOf(timm, text), kOpenClipNoWeights, "text."},
  };
  return families;
}

const TensorFamily& OpenClipFamily() { return TensorFamilies()[1]; }
const TensorFamily& HuggingFaceFamily() { return TensorFamilies()[4]; }
std::span<const RefusedTensor> RefusedTensors() { return kRefusedTensors; }

bool Uses(const ModelConfig& config, const TensorRow& row) {
  if (!config.has_text() && row.name.starts_with("text.")) return false;
  switch (row.use) {
    case TensorUse::kLogitScale:
      return config.logit_scale;
    case TensorUse::kLogitBias:
      return config.logit_bias;
    case TensorUse::kLnPre:
      return config.ln_pre;
    case TensorUse::kPatches:
      return config.stem.kind == StemKind::kPatches;
    case TensorUse::kPatchBias:
      return config.patch_bias;
    case TensorUse::kConvolutions:
      return config.stem.kind == StemKind::kConvolutions;
    case TensorUse::kMbConv:
      return config.stem.kind == StemKind::kMbConv;
    case TensorUse::kPositions:
      return config.positions != Positions::kNone;
    case TensorUse::kClassToken:
      return config.class_token;
    case TensorUse::kRegisters:
      return config.registers > 0;
    case TensorUse::kAttentionPool:
      return config.pool.kind == Pooling::kAttention;
    case TensorUse::kNoCocaPool:
      return !config.pool.coca;
    case TensorUse::kCocaPool:
      return config.pool.coca;
    case TensorUse::kCocaPoolWhole:
      return config.pool.coca && config.pool_width() == config.vision.width;
    case TensorUse::kCocaPoolApart:
      return config.pool.coca && config.pool_width() != config.vision.width;
    case TensorUse::kWholeQkvWithoutBias:
      return TowerOf(row, config).qkv == QkvLayout::kWholeWithoutBias;
    case TensorUse::kWholeQkv:
      return TowerOf(row, config).qkv == QkvLayout::kWhole;
    case TensorUse::kWholeQkvWithoutKeyBias:
      return TowerOf(row, config).qkv == QkvLayout::kWholeWithoutKeyBias;
    case TensorUse::kApartQkv:
      return TowerOf(row, config).qkv == QkvLayout::kApartWithoutKeyBias;
    case TensorUse::kSubNorm:
      return TowerOf(row, config).sub_norm;
    case TensorUse::kPlainMlp:
      return TowerOf(row, config).gated_mlp == GatedMlp::kNone;
    case TensorUse::kSwiGlu:
      return TowerOf(row, config).gated_mlp == GatedMlp::kSwiGlu;
    case TensorUse::kGeGlu:
      return TowerOf(row, config).gated_mlp == GatedMlp::kGeGlu;
    case TensorUse::kNotGeGlu:
      return TowerOf(row, config).gated_mlp != GatedMlp::kGeGlu;
    case TensorUse::kRowNorm:
      return config.pool.kind != Pooling::kAverage;
    case TensorUse::kMeanNorm:
      return config.pool.kind == Pooling::kAverage;
    case TensorUse::kProjection:
      return config.projection && !config.projection_in_trunk;
    case TensorUse::kProjectionBias:
      return config.projection_bias && !config.projection_in_trunk;
    case TensorUse::kClassifier:
      return config.projection && config.projection_in_trunk;
    case TensorUse::kTextProjection:
      return config.text_projection && !config.text_projection_bias;
    case TensorUse::kTextProjectionBias:
      return config.text_projection_bias;
    case TensorUse::kTextClass:
      return config.text_class;
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

std::vector<Index> ShapeOf(const TensorRow& row, const ModelConfig& config) {
  const TowerConfig& tower = TowerOf(row, config);
  const std::pair<char, Index> sizes[] = {
      {'D', tower.width},          {'F', tower.mlp_width},          {'P', config.patch_size},
      {'C', config.stem.width},    {'S', config.placed().tokens()}, {'N', config.tokens()},
      {'T', config.text_places()}, {'W', config.pool_width()},      {'Q', config.pool.queries},
      {'E', config.embed_width},   {'V', config.vocabulary_size},   {'G', config.pool.mlp_width},
      {'R', config.registers}};
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

std::vector<TensorInFile> TensorsInFile(const TensorRow& row, Index layer,
                                        const ModelConfig& config) {
  std::vector<Index> shape = ShapeOf(row, config);
  if (row.transposed) std::ranges::reverse(shape);
  std::vector<TensorInFile> tensors;
  std::vector<Index> shares;
  std::string_view rest = row.in_file;
  while (!rest.empty()) {
    std::string_view name = rest.substr(0, rest.find('|'));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    // The mark may stand behind the name of a block.
    const std::size_t colon = name.find(':');
    const char mark = colon == std::string_view::npos || colon == 0 ? '1' : name[colon - 1];
    const bool two = mark == '2';
    const bool zeros = mark == '0';
    std::string whole(name);
    if (two) whole.erase(colon - 1, 2);
    tensors.push_back({zeros ? std::string() : WithLayer(whole, layer), shape});
    shares.push_back(two ? 2 : 1);
  }
  if (tensors.size() == 1) return tensors;
  const Index all = std::max(Index{1}, std::accumulate(shares.begin(), shares.end(), Index{0}));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].shape[0] = shape[0] / all * shares[i];
  }
  return tensors;
}

}  // namespace cliplens
