// The configuration of a CLIP model, read from `open_clip_config.json` or Hugging Face's
// `config.json`.
//
//   const ModelConfig config =
//       ParseOpenClipConfig(ReadJsonFile("open_clip_config.json"), "open_clip_config.json");
//   Print(config.vision.layers, config.vision.heads, config.tokens(), config.embed_width);
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/model/text_rule.h"

namespace cliplens {

// Exact (erf) GELU; x · sigmoid(1.702 x); GELU by a hyperbolic tangent, as JAX has it.
enum class Activation { kGelu, kQuickGelu, kGeluTanh };
const char* NameOf(Activation activation);  // "gelu", "quick_gelu", "gelu_tanh"

// Whose tokenizer a model was made with (docs/tokenizer.md): they read some texts differently.
enum class TokenizerRule { kOpenClip, kHuggingFace };

// Rotary positions (arXiv 2104.09864) along both axes of the grid, on queries and keys of patches:
// half of a head's pairs turn with one axis, half with the other.
struct RotaryConfig {
  Index reference = 0;   // patches along a side that places are scaled to
  double offset = 0;     // of the first place
  bool x_first = false;  // columns turn the first half of the pairs, not rows

  bool operator==(const RotaryConfig&) const = default;
};

// How a checkpoint holds the matrix of queries, keys and values, and its bias. Keys of EVA's have
// no bias.
enum class QkvLayout { kWhole, kWholeWithoutKeyBias, kWholeWithoutBias, kApartWithoutKeyBias };

// An MLP whose hidden layer is the product of two, act(x G) ⊙ x W (arXiv 2002.05202).
enum class GatedMlp {
  kNone,
  kSwiGlu,  // LN(SiLU(x G) ⊙ x W): EVA-02's
  kGeGlu,   // of one more LayerNorm of x, GELU(LN(x) G) ⊙ LN(x) W: ViTamin's
};

// What the two towers share: a pre-LN transformer.
struct TowerConfig {
  Index layers = 0;     // L
  Index width = 0;      // D
  Index heads = 0;      // H
  Index mlp_width = 0;  // F
  double norm_epsilon = 1e-5;
  Activation activation = Activation::kGelu;
  std::optional<RotaryConfig> rotary = {};
  QkvLayout qkv = QkvLayout::kWhole;
  // A LayerNorm over the outputs of all heads, before their output matrix ("sub-LN", EVA-02, arXiv
  // 2303.11331, section 2). What the captures call a head's output is behind it.
  bool sub_norm = false;
  // The two LayerNorms of a block stand behind attention and MLP, x + LN(attn(x)), not in front
  // ("post-norm", EVA02-E). What the captures call a head's output is divided by the σ_a of the
  // LayerNorm, and has 1/σ_a behind it, by which b_O is multiplied.
  bool post_norm = false;
  GatedMlp gated_mlp = GatedMlp::kNone;
  // The checkpoint scales what attention and MLP add by a gain for each channel ("LayerScale",
  // arXiv 2103.17239, section 2). The gains are folded into the output matrices and biases when the
  // checkpoint is loaded, so no later code sees them.
  bool layer_scale = false;

  Index head_width() const { return width / heads; }  // K
  // The numbers of a head's output in the captures: K, K+1 with post_norm.
  Index output_width() const { return head_width() + (post_norm ? 1 : 0); }
  bool operator==(const TowerConfig&) const = default;
};

// How the embedding is made of the rows behind the last block.
enum class Pooling {
  kToken,    // one row: the class token's, or that of a text's end
  kAverage,  // the mean of the patches' rows, then the final LayerNorm
  // The final LayerNorm, then the mean of the patches' rows.
  kNormedAverage,
  kAttention,  // the final LayerNorm, then an attention of its own (attention_pool.h)
};
// "token", "average", "normed_average", "attention"
const char* NameOf(Pooling pooling);

struct PoolConfig {
  Pooling kind = Pooling::kToken;
  // Of an attention pool:
  Index heads = 0;
  Index mlp_width = 0;  // of the MLP behind the attention
  // CoCa's (arXiv 2205.01917): of many learned queries the first makes the embedding, it has a
  // LayerNorm, the attention is as wide as the embedding, and behind it are a LayerNorm and a
  // projection.
  bool coca = false;
  Index queries = 1;

  bool operator==(const PoolConfig&) const = default;
};

// How a picture becomes the rows of patches. Convolutions are part of INPUT (conv_stem.h).
enum class StemKind {
  kPatches,       // patches times a matrix
  kConvolutions,  // three convolutions of patches of 4, 2 and 2 pixels: MobileCLIP-B's
  kMbConv,        // two stages of inverted bottlenecks (arXiv 1801.04381): ViTamin's
};
const char* NameOf(StemKind stem);  // "patches", "convolutions", "mbconv"

struct StemConfig {
  StemKind kind = StemKind::kPatches;
  Index width = 0;  // channels of the first convolution

  bool operator==(const StemConfig&) const = default;
};

// Which tokens have a position embedding.
enum class Positions { kAllTokens, kPatches, kNone };

// The tokens of a picture: those in front (the class token, then registers), then the patches row
// by row.
struct TokenLayout {
  Index prefix = 1;
  Index grid = 0;       // patches along a side
  Index registers = 0;  // of those in front

  bool has_class() const { return prefix > registers; }
  Index patches() const { return grid * grid; }
  Index tokens() const { return prefix + patches(); }  // N
};

struct ModelConfig {
  Index embed_width = 0;  // E

  TowerConfig vision;
  Index patch_size = 0;
  StemConfig stem;
  bool patch_bias = false;  // the patch embedding has a bias
  bool class_token = true;  // a token in front of the patches
  // Learned tokens between it and the patches that stand for nothing (arXiv 2309.16588).
  Index registers = 0;
  Positions positions = Positions::kAllTokens;
  bool ln_pre = true;  // a LayerNorm in front of block 0; false: open_clip's no_ln_pre
  PoolConfig pool;
  bool projection = true;  // a matrix [D, E] behind the pooled row; else E = D
  bool projection_bias = false;
  bool projection_in_trunk = false;  // its tensor is that of timm's classifier
  PreprocessConfig preprocess;       // its image_size is S

  // Why the text tower is not evaluated ("its text tower is roberta-base"); empty: it is. Texts are
  // then rows that were made elsewhere (text_rows.h), and the tensors of the text tower are not
  // read.
  std::string other_text = {};
  TowerConfig text;
  Index context_length = 0;
  Index vocabulary_size = 0;
  TokenizerRule tokenizer_rule = TokenizerRule::kOpenClip;
  // The tokenizer is read from the files beside the model, by this rule, and the other settings of
  // tokenizers do not count. Nothing: CLIP's byte pairs.
  std::optional<TextRule> text_rule = {};
  // open_clip's hf_tokenizer_name: the model has a tokenizer of its own, whose files must be there.
  std::string tokenizer_name = {};
  // Decides which row of a text is pooled. 2 means the first row with the text's highest id: the
  // rule of open_clip, and of transformers for its old configurations. Any other value means the
  // first row with this id, the rule of transformers' CLIPTextModel, whose default is 49,407.
  Index eos_token_id = 2;

  bool causal = true;  // a text's token attends to those on its left alone
  // The text tower reads all places of the context, padding too.
  bool reads_padding = false;
  bool text_projection = true;  // else E = D
  bool text_projection_bias = false;
  // A row behind each text is pooled that stands for the whole of it (CoCa's embed_cls).
  bool text_class = false;
  bool text_decoder = false;  // the checkpoint has one, which embeddings do not need

  bool logit_scale = true;  // the checkpoint has one
  bool logit_bias = false;  // and a bias: scores are sigmoid(scale · cos + bias)

  bool has_text() const { return other_text.empty(); }
  Index text_places() const { return context_length + (text_class ? 1 : 0); }
  Index pool_width() const { return pool.coca ? embed_width : vision.width; }
  TokenLayout layout() const {
    return {.prefix = (class_token ? 1 : 0) + registers,
            .grid = preprocess.image_size / patch_size,
            .registers = registers};
  }
  // The rows of the position embedding; those in front are missing where they have none.
  TokenLayout placed() const {
    const bool all = positions == Positions::kAllTokens;
    return {.prefix = all ? layout().prefix : 0,
            .grid = positions == Positions::kNone ? 0 : grid()};
  }
  Index grid() const { return layout().grid; }
  Index tokens() const { return layout().tokens(); }  // N
  bool operator==(const ModelConfig&) const = default;
};

// ModelConfig::other_text of open_clip's models whose text tower is one of Hugging Face's.
std::string OtherTextTower(std::string_view name);

// `name` stands in the messages. Accepts the file with or without the level "model_cfg".
// Throws Error(kUnsupported) that names a setting which this version does not evaluate (ignoring it
// would give wrong numbers), Error(kCorruptData) for a setting that makes no sense.
ModelConfig ParseOpenClipConfig(const Json& file, const std::string& name);

// `config.json` of a Hugging Face CLIPModel, with transformers' defaults for what is absent.
// Preprocessing keeps its default with the model's own picture size, since another file describes
// it (ParseHuggingFacePreprocessor). Settings that transformers' CLIPModel does not read are
// ignored. Also that of a MetaClip2Model, of a SiglipModel, and of a CLIPVisionModelWithProjection
// or SiglipVisionModel, which have no text tower. Errors as above; a model_type of others is
// Error(kUnsupported).
ModelConfig ParseHuggingFaceConfig(const Json& file, const std::string& name);

// The configuration as it is written into stores and printed by `info --json`.
Json ToJson(const ModelConfig& config);

}  // namespace cliplens
