#include "cliplens/model/config.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/config_reader.h"
#include "cliplens/model/preprocess_config.h"
#include "cliplens/model/timm_tower.h"

namespace cliplens {
namespace {

// Bounds that every published CLIP stays well under; they keep products of sizes far from overflow.
constexpr Index kMaxLayers = 256;
constexpr Index kMaxRegisters = 64;
constexpr Index kMaxWidth = 16'384;
constexpr Index kMaxContext = 4'096;
constexpr Index kMaxVocabulary = 4'000'000;

// What a LayerNorm adds to variances, under the root.
double CheckedEpsilon(double epsilon, const std::string& name) {
  if (epsilon >= 0 && epsilon <= 1) return epsilon;
  throw Error(ErrorCode::kCorruptData,
              "{}: the LayerNorm's epsilon is {}, a small number from 0 on was expected", name,
              epsilon);
}

double ReadEpsilon(ConfigReader& reader) {
  if (!reader.Has("norm_kwargs")) return 1e-5;
  ConfigReader kwargs(reader.json("norm_kwargs"), reader.name() + ".norm_kwargs");
  const double epsilon = CheckedEpsilon(kwargs.Number("eps", 1e-5), kwargs.name());
  kwargs.Finish({});
  return epsilon;
}

Index MlpWidth(ConfigReader& reader, Index width) {
  const double ratio = reader.Number("mlp_ratio", 4.0);
  const double mlp_width = static_cast<double>(width) * ratio;
  if (!(mlp_width >= 1) || mlp_width > static_cast<double>(8 * kMaxWidth)) {
    throw Error(ErrorCode::kCorruptData, "{}: 'mlp_ratio' is {}, which makes no MLP for width {}",
                reader.name(), ratio, width);
  }
  return static_cast<Index>(mlp_width);  // cut towards zero, as the reference does
}

bool HasLayerScale(ConfigReader& reader) {
  // The value only fills the gains of a model that is yet to be trained.
  return reader.Has("ls_init_value") && reader.Number("ls_init_value", 0) != 0;
}

void CheckHeads(const TowerConfig& tower, const std::string& name) {
  if (tower.heads < 1 || tower.width % tower.heads != 0) {
    throw Error(ErrorCode::kCorruptData, "{}: width {} cannot be shared by {} heads", name,
                tower.width, tower.heads);
  }
}

void CheckPatches(const ModelConfig& config, const std::string& name) {
  if (config.patch_size > config.preprocess.image_size) {
    throw Error(ErrorCode::kCorruptData, "{}: patch_size {} is larger than image_size {}", name,
                config.patch_size, config.preprocess.image_size);
  }
}

void RefuseCustomBlocks(ConfigReader& reader) {
  for (const char* key : {"qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner",
                          "scale_attn", "scale_fc"}) {
    reader.Only(key, false);
  }
  reader.Only("block_type", "default");
}

// A tower's activation: the model's, with settings of its own. GELU's approximation "none" is the
// exact one, its default.
Activation ReadActivation(ConfigReader& reader, bool quick_gelu) {
  const Activation activation = quick_gelu ? Activation::kQuickGelu : Activation::kGelu;
  if (!reader.Has("act_kwargs")) return activation;
  const Json& settings = reader.json("act_kwargs");
  if (settings == Json::object()) return activation;
  if (!quick_gelu && settings == Json{{"approximate", "none"}}) return activation;
  if (!quick_gelu && settings == Json{{"approximate", "tanh"}}) return Activation::kGeluTanh;
  reader.Only("act_kwargs", Json::object());
  return activation;
}

// Names models of other classes, whose configurations differ in more than the setting that would be
// refused first.
void RefuseOtherModels(ConfigReader& model) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::kUnsupported, "{}: {}; such models are not supported", model.name(),
                what);
  };
  if (model.Has("audio_cfg")) {
    refuse("it is a CLAP model ('audio_cfg'), which embeds sounds, not pictures");
  }
  if (!model.Has("vision_cfg") || !model.json("vision_cfg").is_object()) return;
  ConfigReader vision(model.json("vision_cfg"), model.name() + ": vision_cfg");
  if (!vision.Has("timm_model_name")) return;
  const std::string tower = Printable(vision.Text("timm_model_name", ""), 80);
  if (FindTimmTower(tower) != nullptr) return;
  constexpr std::pair<std::string_view, std::string_view> kFamilies[] = {
      {"eva", "EVA"},
      {"vit_pe_", "PE"},
      {"vitamin", "ViTamin"},
      {"convnext", "ConvNeXt"},
      {"swin", "Swin Transformer"},
      {"fastvit", "MobileCLIP"}};
  for (const auto& [part, family] : kFamilies) {
    if (tower.find(part) == std::string::npos) continue;
    refuse(fmt::format("it is a model with {}'s image tower ('{}', of timm)", family, tower));
  }
  refuse(fmt::format("its image tower is '{}', of timm", tower));
}

// A tower of timm's with other sizes than its name stands for: 'timm_model_kwargs' holds arguments
// of timm's constructors. An addition to open_clip's format, for towers trained at sizes of one's
// own.
TimmTower WithSizes(ConfigReader& vision, const TimmTower& named) {
  TimmTower tower = named;
  if (!vision.Has("timm_model_kwargs")) return tower;
  ConfigReader sizes(vision.Object("timm_model_kwargs"), vision.name() + ".timm_model_kwargs");
  tower.image_size = sizes.Square("img_size", named.image_size, kMaxImageSize);
  tower.patch_size = sizes.Square("patch_size", named.patch_size, kMaxImageSize);
  tower.layers = sizes.Integer("depth", named.layers, 1, kMaxLayers);
  tower.width = sizes.Integer("embed_dim", named.width, 1, kMaxWidth);
  if (named.stem.kind != StemKind::kPatches) {  // its convolutions have sizes of their own
    sizes.Only("patch_size", named.patch_size);
    sizes.Only("embed_dim", named.width);
  }
  tower.heads = sizes.Integer("num_heads", named.heads, 1, kMaxWidth);
  if (named.registers > 0) {
    tower.registers = sizes.Integer("reg_tokens", named.registers, 1, kMaxRegisters);
  }
  // The ratio of a named tower is not kept here, so another width asks for it.
  if (sizes.Has("mlp_ratio") || tower.width != named.width) {
    tower.mlp_width = MlpWidth(sizes, tower.width);
  }
  if (named.pool_heads == named.heads) {  // SigLIP's pool has the heads and the MLP of the blocks
    tower.pool_heads = tower.heads;
    tower.pool_mlp_width = tower.mlp_width;
  } else if (named.pool_heads > 0) {  // PE's has its own
    tower.pool_mlp_width = 4 * tower.width;
  }
  sizes.Finish({});
  return tower;
}

// A tower of timm's, whose sizes follow from its name.
void ReadTimmVision(ConfigReader& vision, const TimmTower& named, const std::string& name,
                    ModelConfig& config) {
  const TimmTower tower = WithSizes(vision, named);
  config.vision = {.layers = tower.layers,
                   .width = tower.width,
                   .heads = tower.heads,
                   .mlp_width = tower.mlp_width,
                   .norm_epsilon = tower.norm_epsilon,
                   .activation = tower.activation,
                   .qkv = tower.qkv,
                   .sub_norm = tower.eva02,
                   .post_norm = tower.post_norm,
                   .gated_mlp = tower.eva02     ? GatedMlp::kSwiGlu
                                : tower.vitamin ? GatedMlp::kGeGlu
                                                : GatedMlp::kNone,
                   .layer_scale = tower.layer_scale};
  if (tower.rotary_reference > 0) {
    config.vision.rotary = RotaryConfig{.reference = tower.rotary_reference,
                                        .offset = tower.rotary_offset,
                                        .x_first = tower.rotary_x_first};
  }
  CheckHeads(config.vision, vision.name());
  config.patch_size = tower.patch_size;
  config.stem = tower.stem;
  config.positions = tower.positions;
  config.patch_bias = !tower.ln_pre && tower.stem.kind == StemKind::kPatches;
  config.class_token = tower.class_token;
  config.registers = tower.registers;
  config.ln_pre = tower.ln_pre;
  config.preprocess.image_size = vision.Square("image_size", tower.image_size, kMaxImageSize);
  // Without positions a tower reads pictures of any size: ViTamin-XL-384's are of 256.
  const bool smaller =
      tower.positions == Positions::kNone && config.preprocess.image_size < tower.image_size;
  if (config.preprocess.image_size != tower.image_size && !smaller) {
    throw Error(ErrorCode::kCorruptData, "{}: 'image_size' is {}, pictures of '{}' have {}",
                vision.name(), config.preprocess.image_size, tower.name, tower.image_size);
  }
  CheckPatches(config, vision.name());
  if (config.stem.kind != StemKind::kPatches &&
      config.preprocess.image_size % config.patch_size != 0) {
    throw Error(ErrorCode::kCorruptData, "{}: pictures of {} are no whole number of {} pixels",
                vision.name(), config.preprocess.image_size, config.patch_size);
  }
  // An empty name stands for the tower's own way.
  const bool averages = tower.vitamin || tower.average || tower.mean_norm;
  const std::string own = tower.pool_heads > 0 ? "map" : averages ? "avg" : "token";
  std::string pool = vision.Text("timm_pool", "avg");
  if (pool.empty()) pool = own;
  if (pool != own) {
    throw Error(ErrorCode::kUnsupported, "{}: 'timm_pool' is '{}'; '{}' pools by '{}' here",
                vision.name(), Printable(pool), tower.name, own);
  }
  if (pool == "map") {
    config.pool = {Pooling::kAttention, tower.pool_heads, tower.pool_mlp_width};
  } else if (pool == "avg") {
    config.pool.kind = tower.average ? Pooling::kNormedAverage : Pooling::kAverage;
  }
  // "none" leaves the pooled row as it is; nothing is the tower's own classifier, with a bias.
  const std::string projection = vision.Text("timm_proj", "");
  config.projection = projection != "none";
  config.projection_in_trunk = projection.empty();
  config.projection_bias = projection.empty() || vision.Bool("timm_proj_bias", false);
  if (!projection.empty() && projection != "none") vision.Only("timm_proj", "linear");
  if (!config.projection && config.embed_width != tower.width) {
    throw Error(ErrorCode::kCorruptData, "{}: 'embed_dim' is {}, rows of '{}' have {}", name,
                config.embed_width, tower.name, tower.width);
  }
  vision.Finish({"timm_model_name", "timm_model_pretrained", "timm_drop", "timm_drop_path",
                 "timm_proj_bias"});
}

void ReadOpenClipVision(ConfigReader& vision, const std::string& name, bool quick_gelu,
                        ModelConfig& config) {
  if (vision.Has("timm_model_name")) {
    const TimmTower* tower = FindTimmTower(vision.Text("timm_model_name", ""));
    if (tower != nullptr) return ReadTimmVision(vision, *tower, name, config);
  }
  if (vision.Has("layers") && vision.json("layers").is_array()) {
    throw Error(ErrorCode::kUnsupported, "{}: ResNet vision towers are not supported", name);
  }
  config.vision.layers = vision.Integer("layers", 12, 1, kMaxLayers);
  config.vision.width = vision.Integer("width", 768, 1, kMaxWidth);
  const Index head_width = vision.Integer("head_width", 64, 1, kMaxWidth);
  config.vision.heads = config.vision.width / head_width;
  CheckHeads(config.vision, vision.name());
  config.vision.mlp_width = MlpWidth(vision, config.vision.width);
  config.vision.norm_epsilon = ReadEpsilon(vision);
  config.patch_size = vision.Square("patch_size", 16, kMaxImageSize);
  config.preprocess.image_size = vision.Square("image_size", 224, kMaxImageSize);
  CheckPatches(config, vision.name());
  config.ln_pre = !vision.Bool("no_ln_pre", false);
  vision.Only("pos_embed_type", "learnable");
  const bool coca = vision.Has("attentional_pool") && vision.json("attentional_pool") == true;
  if (coca) {
    config.pool = {.kind = Pooling::kAttention,
                   .heads = vision.Integer("attn_pooler_heads", 8, 1, kMaxWidth),
                   .coca = true,
                   .queries = vision.Integer("attn_pooler_queries", 256, 1, kMaxContext)};
    if (config.embed_width % config.pool.heads != 0) {
      throw Error(ErrorCode::kCorruptData, "{}: the pool's width {} cannot be shared by {} heads",
                  vision.name(), config.embed_width, config.pool.heads);
    }
  } else {
    vision.Only("attentional_pool", false);  // others are "parallel" and "cascade"
  }
  // The final LayerNorm works on each row, so for one row it may come before or after.
  const bool norm_after = vision.Bool("final_ln_after_pool", false) && !coca;
  if (norm_after && vision.Text("pool_type", "tok") == "avg") {
    config.pool.kind = Pooling::kAverage;
  } else {
    vision.Only("pool_type", "tok");
  }
  config.vision.layer_scale = HasLayerScale(vision);
  config.vision.activation = ReadActivation(vision, quick_gelu);
  RefuseCustomBlocks(vision);
  // Patch dropout works in training only; pretraining flags and pooler sizes belong to parts that
  // are refused above.
  vision.Finish({"patch_dropout", "attn_pooler_queries", "attn_pooler_heads", "output_tokens",
                 "timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop",
                 "timm_drop_path"});
}

// open_clip's settings of a tokenizer of Hugging Face's.
void ReadTokenizerSettings(ConfigReader& text, TextRule& rule) {
  rule.cleaning = TextCleaning::kWhitespace;
  if (!text.Has("tokenizer_kwargs")) return;
  ConfigReader kwargs(text.json("tokenizer_kwargs"), text.name() + ".tokenizer_kwargs");
  rule.strips_separator = kwargs.Bool("strip_sep_token", false);
  const std::string clean = kwargs.Text("clean", "whitespace");
  kwargs.Finish({});
  if (clean == "whitespace") return;
  if (clean == "lower") {
    rule.cleaning = TextCleaning::kLower;
  } else if (clean == "canonicalize") {
    rule.cleaning = TextCleaning::kCanonicalize;
  } else {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'clean' is '{}'; whitespace, lower and canonicalize are supported",
                kwargs.name(), Printable(clean));
  }
}

// "argmax": the row of the highest id. "eos": the first row of one id ("worldwide"). "last": the
// last row of the context, padding or not (SigLIP, CLIPA). The last two come with a tokenizer of
// Hugging Face's.
void ReadPooling(ConfigReader& text, ModelConfig& config) {
  const std::string pool = text.Text("pool_type", "argmax");
  const bool named = !text.Text("hf_tokenizer_name", "").empty();
  if (!named || (pool != "eos" && pool != "last")) return text.Only("pool_type", "argmax");
  config.text_rule = TextRule{.context_length = config.context_length};
  ReadTokenizerSettings(text, *config.text_rule);
  if (pool == "last") {
    config.text_rule->fills_context = true;
    config.reads_padding = true;
    return;
  }
  const Index end = text.Integer("eos_id", 2, 0, kMaxVocabulary);
  config.text_rule->end = static_cast<std::int32_t>(end);
}

void ReadOpenClipText(ConfigReader& text, bool quick_gelu, ModelConfig& config) {
  if (text.Has("hf_model_name")) {
    config.other_text = OtherTextTower(Printable(text.Text("hf_model_name", ""), 80));
    return;
  }
  config.text.layers = text.Integer("layers", 12, 1, kMaxLayers);
  config.text.width = text.Integer("width", 512, 1, kMaxWidth);
  config.text.heads = text.Integer("heads", 8, 1, kMaxWidth);
  CheckHeads(config.text, text.name());
  config.text.mlp_width = MlpWidth(text, config.text.width);
  config.text.norm_epsilon = ReadEpsilon(text);
  config.context_length = text.Integer("context_length", 77, 2, kMaxContext);
  config.vocabulary_size = text.Integer("vocab_size", 49'408, 1, kMaxVocabulary);
  config.text_class = text.Bool("embed_cls", false);
  if (config.text_class) {
    text.Only("no_causal_mask", false);
    text.Only("pad_id", 0);
  }
  // Without the mask the padding is read as well.
  config.causal = !text.Bool("no_causal_mask", false);
  config.reads_padding = !config.causal;
  text.Bool("final_ln_after_pool", false);  // of one row: the same before and after
  if (config.text_class) {
    text.Text("pool_type", "argmax");  // the class row is pooled, whatever this says
  } else {
    ReadPooling(text, config);
  }
  config.text_projection = text.Text("proj_type", "linear") != "none";
  if (config.text_projection) text.Only("proj_type", "linear");
  config.text_projection_bias = text.Bool("proj_bias", false) && config.text_projection;
  if (!config.text_projection && config.text.width != config.embed_width) {
    throw Error(ErrorCode::kCorruptData,
                "{}: 'proj_type' is 'none' and rows have {} numbers, but 'embed_dim' is {}",
                text.name(), config.text.width, config.embed_width);
  }
  config.text.layer_scale = HasLayerScale(text);
  config.text.activation = ReadActivation(text, quick_gelu);
  if (!config.text_rule) text.Only("tokenizer_kwargs", Json::object());
  config.tokenizer_name = text.Text("hf_tokenizer_name", "");
  RefuseCustomBlocks(text);
  text.Finish({"tokenizer_mode", "pad_id", "eos_id", "output_tokens", "hf_model_pretrained",
               "hf_proj_type", "hf_pooler_type"});
}

// Other classes have the same model_type, and weights for parts of CLIPModel or beside them.
void RefuseOtherClasses(ConfigReader& config) {
  if (!config.Has("architectures") || !config.json("architectures").is_array()) return;
  constexpr std::pair<std::string_view, std::string_view> kClasses[] = {
      {"CLIPForImageClassification", "an image tower with a classifier and no text tower"},
      {"CLIPVisionModel", "an image tower alone, without its projection"},
      {"SiglipForImageClassification", "an image tower with a classifier and no text tower"},
      {"SiglipTextModel", "a text tower alone"},
      {"CLIPTextModel", "a text tower alone"},
      {"CLIPTextModelWithProjection", "a text tower alone"}};
  for (const Json& class_name : config.json("architectures")) {
    for (const auto& [known, what] : kClasses) {
      if (class_name != known) continue;
      throw Error(
          ErrorCode::kUnsupported,
          "{}: 'architectures' is {}: {}; a CLIPModel is wanted, with both towers and their "
          "projections, or a CLIPVisionModelWithProjection",
          config.name(), JsonExcerpt(config.json("architectures")), what);
    }
  }
}

// What a SiglipModel has otherwise than a CLIPModel: no class token, a pool by attention in place
// of a projection, texts that fill the context.
void ReadSiglip(ConfigReader& vision, ConfigReader& text, bool alone, ModelConfig& config) {
  vision.Only("vision_use_head", true);
  config.embed_width = config.vision.width;
  config.patch_bias = true;
  config.class_token = false;
  config.ln_pre = false;
  config.pool = {Pooling::kAttention, config.vision.heads, config.vision.mlp_width};
  config.projection = false;
  if (alone) return;
  config.logit_bias = true;
  config.context_length = text.Integer("max_position_embeddings", 64, 2, kMaxContext);
  config.vocabulary_size = text.Integer("vocab_size", 32'000, 1, kMaxVocabulary);
  const Index width = text.Integer("projection_size", config.text.width, 1, kMaxWidth);
  if (width != config.embed_width) {
    throw Error(ErrorCode::kCorruptData,
                "{}: 'projection_size' is {}, rows of the image tower have {}", text.name(), width,
                config.embed_width);
  }
  config.causal = false;
  config.reads_padding = true;
  config.text_projection_bias = true;
  config.tokenizer_rule = TokenizerRule::kHuggingFace;
  config.text_rule = TextRule{.context_length = config.context_length, .fills_context = true};
}

}  // namespace

const char* NameOf(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return "gelu";
    case Activation::kQuickGelu:
      return "quick_gelu";
    case Activation::kGeluTanh:
      break;
  }
  return "gelu_tanh";
}

const char* NameOf(Pooling pooling) {
  switch (pooling) {
    case Pooling::kToken:
      return "token";
    case Pooling::kAverage:
      return "average";
    case Pooling::kNormedAverage:
      return "normed_average";
    case Pooling::kAttention:
      break;
  }
  return "attention";
}

const char* NameOf(StemKind stem) {
  switch (stem) {
    case StemKind::kPatches:
      return "patches";
    case StemKind::kConvolutions:
      return "convolutions";
    case StemKind::kMbConv:
      break;
  }
  return "mbconv";
}

std::string OtherTextTower(std::string_view name) {
  return fmt::format("its text tower is {}, one of Hugging Face's", name);
}

ModelConfig ParseOpenClipConfig(const Json& file, const std::string& name) {
  ConfigReader top(file, name);
  const bool nested = top.Has("model_cfg");
  ConfigReader model(nested ? top.Object("model_cfg") : file, nested ? name + ": model_cfg" : name);
  RefuseOtherModels(model);
  ModelConfig config;
  config.embed_width = model.Integer("embed_dim", 0, 1, kMaxWidth);
  if (config.embed_width == 0) {
    throw Error(ErrorCode::kCorruptData, "{}: there is no 'embed_dim' in it", name);
  }
  const bool quick_gelu = model.Bool("quick_gelu", false);
  ConfigReader vision(model.Object("vision_cfg"), name + ": vision_cfg");
  ReadOpenClipVision(vision, name, quick_gelu, config);
  ConfigReader text(model.Object("text_cfg"), name + ": text_cfg");
  ReadOpenClipText(text, quick_gelu, config);
  // Names of the text tower's tensors begin with "text." then; the file of weights shows it.
  model.Bool("custom_text", false);
  config.logit_bias = model.Has("init_logit_bias");
  config.text_decoder = model.Has("multimodal_cfg");
  model.Finish({"custom_text", "multimodal_cfg", "init_logit_scale", "init_logit_bias",
                "nonscalar_logit_scale", "cast_dtype", "output_dict", "preprocess_cfg"});

  if (top.Has("preprocess_cfg")) {
    ConfigReader preprocess(top.Object("preprocess_cfg"), name + ": preprocess_cfg");
    ReadOpenClipPreprocess(preprocess, config.preprocess);
  }
  return config;
}

ModelConfig ParseHuggingFaceConfig(const Json& file, const std::string& name) {
  ConfigReader top(file, name);
  const std::string type = top.Text("model_type", "");
  const bool siglip = type == "siglip" || type == "siglip_vision_model";
  const bool alone = type == "clip_vision_model" || type == "siglip_vision_model";
  const bool worldwide = type == "metaclip_2";
  if (type == "siglip2" || type == "siglip2_vision_model") {
    throw Error(
        ErrorCode::kUnsupported,
        "{}: 'model_type' is '{}': a SigLIP 2 of variable resolution (\"naflex\"), which is "
        "not supported; those of fixed resolution are (siglip2-base-patch16-224)",
        name, Printable(type));
  }
  if (type != "clip" && !siglip && !alone && !worldwide) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'model_type' is '{}'; of Hugging Face's models CLIPModel (\"clip\"), "
                "SiglipModel (\"siglip\"), MetaClip2Model (\"metaclip_2\"), "
                "CLIPVisionModelWithProjection (\"clip_vision_model\") and SiglipVisionModel "
                "(\"siglip_vision_model\") are supported",
                name, Printable(type));
  }
  RefuseOtherClasses(top);
  // An older file's "text_config_dict" replaces "text_config" whole.
  const Json empty = Json::object();
  const auto part = [&](const char* key, const char* older) -> const Json& {
    if (top.Has(older)) return top.Object(older);
    return top.Has(key) ? top.Object(key) : empty;
  };
  // The image tower's own file is its configuration, with the same settings.
  ConfigReader vision(alone ? file : part("vision_config", "vision_config_dict"),
                      alone ? name : name + ": vision_config");
  ConfigReader text(part("text_config", "text_config_dict"), name + ": text_config");
  ModelConfig config;
  const auto activation = [&](ConfigReader& reader) {
    const std::string act = reader.Text("hidden_act", siglip ? "gelu_pytorch_tanh" : "quick_gelu");
    if (act == "quick_gelu") return Activation::kQuickGelu;
    if (act == "gelu") return Activation::kGelu;
    if (act == "gelu_pytorch_tanh") return Activation::kGeluTanh;
    throw Error(ErrorCode::kUnsupported,
                "{}: 'hidden_act' is '{}'; gelu, quick_gelu and gelu_pytorch_tanh are supported",
                reader.name(), Printable(act));
  };
  const auto tower = [&](ConfigReader& reader, Index width, Index heads, Index mlp_width) {
    TowerConfig t;
    t.layers = reader.Integer("num_hidden_layers", 12, 1, kMaxLayers);
    t.width = reader.Integer("hidden_size", width, 1, kMaxWidth);
    t.heads = reader.Integer("num_attention_heads", heads, 1, kMaxWidth);
    t.mlp_width = reader.Integer("intermediate_size", mlp_width, 1, 8 * kMaxWidth);
    t.norm_epsilon =
        CheckedEpsilon(reader.Number("layer_norm_eps", siglip ? 1e-6 : 1e-5), reader.name());
    t.activation = activation(reader);
    CheckHeads(t, reader.name());
    return t;
  };
  config.vision = tower(vision, 768, 12, 3072);
  if (alone) {
    config.other_text = "it is an image tower without a text tower";
    config.logit_scale = false;
  } else {
    config.text = siglip ? tower(text, 768, 12, 3072) : tower(text, 512, 8, 2048);
  }
  vision.Only("num_channels", 3);
  config.patch_size = vision.Square("patch_size", siglip ? 16 : 32, kMaxImageSize);
  config.preprocess.image_size = vision.Square("image_size", 224, kMaxImageSize);
  CheckPatches(config, vision.name());
  if (siglip) {
    ReadSiglip(vision, text, alone, config);
    return config;
  }
  config.embed_width = top.Integer("projection_dim", 512, 1, kMaxWidth);
  if (alone) return config;
  config.context_length = text.Integer("max_position_embeddings", 77, 2, kMaxContext);
  config.vocabulary_size = text.Integer("vocab_size", 49'408, 1, kMaxVocabulary);
  config.eos_token_id = text.Integer("eos_token_id", 49'407, 0, kMaxVocabulary);
  config.tokenizer_rule = TokenizerRule::kHuggingFace;
  if (worldwide) {
    config.text_rule = TextRule{.context_length = config.context_length,
                                .end = static_cast<std::int32_t>(config.eos_token_id)};
  }
  return config;
}

Json ToJson(const ModelConfig& config) {
  const auto tower = [](const TowerConfig& t) {
    return Json{{"layers", t.layers},
                {"heads", t.heads},
                {"width", t.width},
                {"head_width", t.head_width()},
                {"mlp_width", t.mlp_width},
                {"norm_epsilon", t.norm_epsilon},
                {"activation", NameOf(t.activation)},
                {"layer_scale", t.layer_scale},
                {"post_norm", t.post_norm}};
  };
  Json vision = tower(config.vision);
  vision["image_size"] = config.preprocess.image_size;
  vision["patch_size"] = config.patch_size;
  vision["stem"] = NameOf(config.stem.kind);
  vision["tokens"] = config.tokens();
  vision["ln_pre"] = config.ln_pre;
  vision["class_token"] = config.class_token;
  vision["registers"] = config.registers;
  vision["pooling"] = NameOf(config.pool.kind);
  Json text = nullptr;
  if (config.has_text()) {
    text = tower(config.text);
    text["context_length"] = config.context_length;
    text["vocabulary_size"] = config.vocabulary_size;
    text["tokenizer_rule"] = config.text_rule                                       ? "files"
                             : config.tokenizer_rule == TokenizerRule::kHuggingFace ? "hugging_face"
                                                                                    : "open_clip";
    text["eos_token_id"] = config.eos_token_id;
    text["causal"] = config.causal;
    text["reads_padding"] = config.reads_padding;
    text["class_row"] = config.text_class;
  }
  return Json{{"embed_width", config.embed_width},
              {"activation", NameOf(config.vision.activation)},
              {"vision", vision},
              {"text", text},
              {"preprocess", ToJson(config.preprocess)}};
}

}  // namespace cliplens
