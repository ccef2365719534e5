#include "cliplens/model/config.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/config_reader.h"
#include "cliplens/model/preprocess_config.h"

namespace cliplens {
namespace {

// Bounds that every published CLIP stays well under; they keep products of sizes far from overflow.
constexpr Index kMaxLayers = 256;
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

// Settings of the activation's own: GELU's approximation "none" is the exact one, its default.
void CheckActivationSettings(ConfigReader& reader, Activation activation) {
  if (!reader.Has("act_kwargs")) return;
  const Json& settings = reader.json("act_kwargs");
  if (settings == Json::object()) return;
  if (activation == Activation::kGelu && settings == Json{{"approximate", "none"}}) return;
  reader.Only("act_kwargs", Json::object());
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
  if (model.Has("multimodal_cfg")) {
    refuse("it is a CoCa model ('multimodal_cfg'), with a text decoder and attention pooling");
  }
  if (!model.Has("vision_cfg") || !model.json("vision_cfg").is_object()) return;
  ConfigReader vision(model.json("vision_cfg"), model.name() + ": vision_cfg");
  if (!vision.Has("timm_model_name")) return;
  const std::string tower = Printable(vision.Text("timm_model_name", ""), 80);
  constexpr std::pair<std::string_view, std::string_view> kFamilies[] = {
      {"siglip", "SigLIP"},         {"eva", "EVA"},
      {"_mci", "MobileCLIP"},       {"vit_pe_", "PE"},
      {"vitamin", "ViTamin"},       {"convnext", "ConvNeXt"},
      {"swin", "Swin Transformer"}, {"fastvit", "MobileCLIP"}};
  for (const auto& [part, family] : kFamilies) {
    if (tower.find(part) == std::string::npos) continue;
    refuse(fmt::format("it is a model with {}'s image tower ('{}', of timm)", family, tower));
  }
  refuse(fmt::format("its image tower is '{}', of timm", tower));
}

void ReadOpenClipVision(ConfigReader& vision, const std::string& name, ModelConfig& config) {
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
  vision.Only("attentional_pool", false);
  config.ln_pre = !vision.Bool("no_ln_pre", false);
  vision.Only("pos_embed_type", "learnable");
  vision.Only("final_ln_after_pool", false);
  vision.Only("pool_type", "tok");
  config.vision.layer_scale = HasLayerScale(vision);
  CheckActivationSettings(vision, config.activation);
  RefuseCustomBlocks(vision);
  // Patch dropout works in training only; pretraining flags and pooler sizes belong to parts that
  // are refused above.
  vision.Finish({"patch_dropout", "attn_pooler_queries", "attn_pooler_heads", "output_tokens",
                 "timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop",
                 "timm_drop_path"});
}

// open_clip's way to clean texts for a tokenizer of Hugging Face's.
TextCleaning ReadCleaning(ConfigReader& text) {
  if (!text.Has("tokenizer_kwargs")) return TextCleaning::kWhitespace;
  ConfigReader kwargs(text.json("tokenizer_kwargs"), text.name() + ".tokenizer_kwargs");
  const std::string clean = kwargs.Text("clean", "whitespace");
  kwargs.Finish({});
  if (clean == "whitespace") return TextCleaning::kWhitespace;
  if (clean == "lower") return TextCleaning::kLower;
  if (clean == "canonicalize") return TextCleaning::kCanonicalize;
  throw Error(ErrorCode::kUnsupported,
              "{}: 'clean' is '{}'; whitespace, lower and canonicalize are supported",
              kwargs.name(), Printable(clean));
}

// "argmax": the row of the highest id. "eos": the first row of one id, with a tokenizer of Hugging
// Face's ("worldwide").
void ReadPooling(ConfigReader& text, ModelConfig& config) {
  if (text.Text("pool_type", "argmax") != "eos") return text.Only("pool_type", "argmax");
  if (text.Text("hf_tokenizer_name", "").empty()) text.Only("pool_type", "argmax");
  const Index end = text.Integer("eos_id", 2, 0, kMaxVocabulary);
  config.text_rule = TextRule{.context_length = config.context_length,
                              .cleaning = ReadCleaning(text),
                              .end = static_cast<std::int32_t>(end)};
}

void ReadOpenClipText(ConfigReader& text, ModelConfig& config) {
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
  text.Only("embed_cls", false);
  text.Only("no_causal_mask", false);
  text.Only("final_ln_after_pool", false);
  ReadPooling(text, config);
  text.Only("proj_bias", false);
  text.Only("proj_type", "linear");
  config.text.layer_scale = HasLayerScale(text);
  CheckActivationSettings(text, config.activation);
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

}  // namespace

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
  config.activation = model.Bool("quick_gelu", false) ? Activation::kQuickGelu : Activation::kGelu;
  ConfigReader vision(model.Object("vision_cfg"), name + ": vision_cfg");
  ReadOpenClipVision(vision, name, config);
  ConfigReader text(model.Object("text_cfg"), name + ": text_cfg");
  ReadOpenClipText(text, config);
  if (config.has_text()) model.Only("custom_text", false);
  model.Finish({"custom_text", "init_logit_scale", "init_logit_bias", "nonscalar_logit_scale",
                "cast_dtype", "output_dict", "preprocess_cfg"});

  if (top.Has("preprocess_cfg")) {
    ConfigReader preprocess(top.Object("preprocess_cfg"), name + ": preprocess_cfg");
    ReadOpenClipPreprocess(preprocess, config.preprocess);
  }
  return config;
}

ModelConfig ParseHuggingFaceConfig(const Json& file, const std::string& name) {
  ConfigReader top(file, name);
  const std::string type = top.Text("model_type", "");
  const bool alone = type == "clip_vision_model";
  const bool worldwide = type == "metaclip_2";
  if (type != "clip" && !alone && !worldwide) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'model_type' is '{}'; of Hugging Face's models CLIPModel (\"clip\"), "
                "MetaClip2Model (\"metaclip_2\") and CLIPVisionModelWithProjection "
                "(\"clip_vision_model\") are supported",
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
  config.embed_width = top.Integer("projection_dim", 512, 1, kMaxWidth);
  const auto tower = [](ConfigReader& reader, Index width, Index heads, Index mlp_width) {
    TowerConfig t;
    t.layers = reader.Integer("num_hidden_layers", 12, 1, kMaxLayers);
    t.width = reader.Integer("hidden_size", width, 1, kMaxWidth);
    t.heads = reader.Integer("num_attention_heads", heads, 1, kMaxWidth);
    t.mlp_width = reader.Integer("intermediate_size", mlp_width, 1, 8 * kMaxWidth);
    t.norm_epsilon = CheckedEpsilon(reader.Number("layer_norm_eps", 1e-5), reader.name());
    CheckHeads(t, reader.name());
    return t;
  };
  const auto activation = [](ConfigReader& reader) {
    const std::string act = reader.Text("hidden_act", "quick_gelu");
    if (act == "quick_gelu") return Activation::kQuickGelu;
    if (act == "gelu") return Activation::kGelu;
    throw Error(ErrorCode::kUnsupported,
                "{}: 'hidden_act' is '{}'; gelu and quick_gelu are supported", reader.name(),
                Printable(act));
  };
  config.vision = tower(vision, 768, 12, 3072);
  config.activation = activation(vision);
  if (alone) {
    config.other_text = "it is an image tower without a text tower";
    config.logit_scale = false;
  } else {
    config.text = tower(text, 512, 8, 2048);
  }
  if (!alone && activation(text) != config.activation) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'hidden_act' is {} in the image tower and {} in the text tower; only models "
                "with one activation are supported",
                name, vision.Text("hidden_act", "quick_gelu"),
                text.Text("hidden_act", "quick_gelu"));
  }
  vision.Only("num_channels", 3);
  config.patch_size = vision.Square("patch_size", 32, kMaxImageSize);
  config.preprocess.image_size = vision.Square("image_size", 224, kMaxImageSize);
  CheckPatches(config, vision.name());
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
                {"layer_scale", t.layer_scale}};
  };
  Json vision = tower(config.vision);
  vision["image_size"] = config.preprocess.image_size;
  vision["patch_size"] = config.patch_size;
  vision["tokens"] = config.tokens();
  vision["ln_pre"] = config.ln_pre;
  Json text = nullptr;
  if (config.has_text()) {
    text = tower(config.text);
    text["context_length"] = config.context_length;
    text["vocabulary_size"] = config.vocabulary_size;
    text["tokenizer_rule"] = config.text_rule                                       ? "files"
                             : config.tokenizer_rule == TokenizerRule::kHuggingFace ? "hugging_face"
                                                                                    : "open_clip";
    text["eos_token_id"] = config.eos_token_id;
  }
  return Json{{"embed_width", config.embed_width},
              {"activation", config.activation == Activation::kQuickGelu ? "quick_gelu" : "gelu"},
              {"vision", vision},
              {"text", text},
              {"preprocess", ToJson(config.preprocess)}};
}

}  // namespace cliplens
