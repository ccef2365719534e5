#include "cliplens/model/architectures.h"

#include <algorithm>
#include <vector>

#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// What models of a family have alike beside their sizes, in the words of open_clip's
// configurations: what `base` says, and then `settings`.
struct Family {
  const Family* base;
  const char* settings;
};

constexpr Family kClip = {nullptr, "{}"};
constexpr Family kQuickGelu = {nullptr, R"({"quick_gelu": true})"};
constexpr Family kLayerScale = {nullptr, R"({"vision_cfg": {"ls_init_value": 1e-4}})"};
constexpr Family kSquash = {nullptr, R"({"preprocess_cfg": {"resize_mode": "squash"}})"};
constexpr Family kWorldwide = {nullptr, R"({
    "text_cfg": {"vocab_size": 901629, "hf_tokenizer_name": "facebook/xlm-v-base",
                 "pool_type": "eos", "eos_id": 2}})"};
constexpr Family kWorldwideSquash = {&kWorldwide, kSquash.settings};
constexpr Family kWorldwideMt5 = {nullptr, R"({
    "text_cfg": {"vocab_size": 250100, "hf_tokenizer_name": "google/mt5-base",
                 "tokenizer_kwargs": {"clean": "canonicalize"}, "pool_type": "eos", "eos_id": 1}})"};
constexpr Family kClipa = {nullptr, R"({
    "vision_cfg": {"no_ln_pre": true, "pool_type": "avg", "final_ln_after_pool": true},
    "text_cfg": {"context_length": 32, "vocab_size": 32000,
                 "hf_tokenizer_name": "bert-base-uncased",
                 "tokenizer_kwargs": {"strip_sep_token": true},
                 "no_causal_mask": true, "pool_type": "last"},
    "preprocess_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
                       "interpolation": "bilinear", "resize_mode": "squash"}})"};
constexpr Family kSiglipImage = {nullptr, R"({
    "custom_text": true, "init_logit_bias": -10,
    "vision_cfg": {"timm_pool": "map", "timm_proj": "none"},
    "preprocess_cfg": {"mean": 0.5, "std": 0.5, "resize_mode": "squash"}})"};
constexpr Family kSiglip = {&kSiglipImage, R"({
    "text_cfg": {"context_length": 64, "vocab_size": 32000,
                 "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
                 "tokenizer_kwargs": {"clean": "canonicalize"},
                 "no_causal_mask": true, "pool_type": "last", "proj_bias": true,
                 "norm_kwargs": {"eps": 1e-6}}})"};
constexpr Family kSiglipI18n = {&kSiglip, R"({
    "text_cfg": {"vocab_size": 250000, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP-i18n-256"}})"};
constexpr Family kSiglipI18nPlain = {&kSiglip, R"({
    "text_cfg": {"vocab_size": 250000, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP-i18n-256",
                 "proj_type": "none", "proj_bias": false}})"};
constexpr Family kSiglip2 = {&kSiglip, R"({
    "text_cfg": {"vocab_size": 256000, "act_kwargs": {"approximate": "tanh"}}})"};
constexpr Family kTimmToken = {nullptr, R"({
    "custom_text": true, "vision_cfg": {"timm_pool": "token"}})"};
constexpr Family kMobileClip2 = {&kTimmToken, R"({"text_cfg": {"no_causal_mask": true}})"};
constexpr Family kMobileClip = {&kTimmToken, R"({
    "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear"}})"};
constexpr Family kViTamin = {nullptr, R"({
    "custom_text": true, "vision_cfg": {"timm_pool": "", "timm_proj": "linear"}})"};
constexpr Family kTimmAverage = {nullptr, R"({
    "vision_cfg": {"timm_pool": "", "timm_proj": "linear"}})"};
constexpr Family kCoca = {nullptr, R"({
    "custom_text": true, "multimodal_cfg": {},
    "text_cfg": {"context_length": 76, "embed_cls": true}})"};
constexpr Family kCocaPool = {&kCoca, R"({
    "vision_cfg": {"attentional_pool": true, "attn_pooler_heads": 8}})"};
constexpr Family kCocaBase = {&kCoca, R"({"text_cfg": {"vocab_size": 64000}})"};
constexpr Family kPeCore = {nullptr, R"({
    "custom_text": true, "vision_cfg": {"timm_pool": "map"}, "text_cfg": {"context_length": 32},
    "preprocess_cfg": {"mean": 0.5, "std": 0.5, "interpolation": "bilinear",
                       "resize_mode": "squash"}})"};

// open_clip's own image tower, or one of timm's, whose name stands for all sizes but a side of its
// own.
struct ImageSizes {
  Index side = 0, patch = 0, layers = 0, width = 0, head_width = 0, mlp_width = 0;
  const char* timm = nullptr;
};

struct TextSizes {
  Index layers = 0, width = 0, heads = 0;
  Index mlp_width = 0;  // 0: four times the width
  Index context = 0;    // 0: the family's
};

// QuickGELU where the name says so.
struct Architecture {
  std::string_view name;
  const Family& family;
  Index embed_width;
  ImageSizes image;
  TextSizes text;                      // all 0: the text tower is one of Hugging Face's
  const char* hugging_face = nullptr;  // its name, or that of the tokenizer if not the family's
};

// As in open_clip's files of model configurations; tests/parity compares the two.
// clang-format off
constexpr Architecture kArchitectures[] = {
    // name, family, E; image tower: side, patch, layers, width, head, MLP; text: layers, width, heads
    {"EVA01-g-14", kTimmToken, 1024, {.timm = "eva_giant_patch14_224"}, {12, 768, 12}},
    {"EVA01-g-14-plus", kTimmToken, 1024, {.timm = "eva_giant_patch14_224"}, {24, 1024, 16}},
    {"EVA02-B-16", kTimmToken, 512, {.timm = "eva02_base_patch16_clip_224"}, {12, 512, 8}},
    {"EVA02-E-14", kTimmToken, 1024, {.timm = "eva02_enormous_patch14_clip_224"}, {24, 1024, 16}},
    {"EVA02-E-14-plus", kTimmToken, 1024, {.timm = "eva02_enormous_patch14_clip_224"}, {32, 1280, 20}},
    {"EVA02-L-14", kTimmToken, 768, {.timm = "eva02_large_patch14_clip_224"}, {12, 768, 12}},
    {"EVA02-L-14-336", kTimmToken, 768, {.timm = "eva02_large_patch14_clip_336"}, {12, 768, 12}},
    {"MobileCLIP-B", kMobileClip, 512, {.timm = "vit_base_mci_224"}, {12, 512, 8}},
    {"MobileCLIP2-B", kMobileClip, 512, {.timm = "vit_base_mci_224"}, {12, 512, 8}},
    {"MobileCLIP2-L-14", kMobileClip2, 768, {.timm = "vit_large_patch14_clip_224"}, {12, 768, 12}},
    {"PE-Core-B-16", kPeCore, 1024, {.timm = "vit_pe_core_base_patch16_224"}, {24, 1024, 16}},
    {"PE-Core-L-14-336", kPeCore, 1024, {.timm = "vit_pe_core_large_patch14_336"}, {24, 1024, 16}},
    {"PE-Core-S-16-384", kPeCore, 512, {.timm = "vit_pe_core_small_patch16_384"}, {12, 512, 8}},
    {"PE-Core-T-16-384", kPeCore, 512, {.timm = "vit_pe_core_tiny_patch16_384"}, {12, 512, 8}},
    {"PE-Core-bigG-14-448", kPeCore, 1280, {.timm = "vit_pe_core_gigantic_patch14_448"}, {24, 1280, 20, 0, 72}},
    {"ViT-B-16", kClip, 512, {224, 16, 12, 768, 64, 3072}, {12, 512, 8}},
    {"ViT-B-16-SigLIP", kSiglip, 768, {.timm = "vit_base_patch16_siglip_224"}, {12, 768, 12}},
    {"ViT-B-16-SigLIP-256", kSiglip, 768, {.timm = "vit_base_patch16_siglip_256"}, {12, 768, 12}},
    {"ViT-B-16-SigLIP-384", kSiglip, 768, {.timm = "vit_base_patch16_siglip_384"}, {12, 768, 12}},
    {"ViT-B-16-SigLIP-512", kSiglip, 768, {.timm = "vit_base_patch16_siglip_512"}, {12, 768, 12}},
    {"ViT-B-16-SigLIP-i18n-256", kSiglipI18n, 768, {.timm = "vit_base_patch16_siglip_256"}, {12, 768, 12}},
    {"ViT-B-16-SigLIP2", kSiglip2, 768, {.timm = "vit_base_patch16_siglip_224"}, {12, 768, 12}, "timm/ViT-B-16-SigLIP2"},
    {"ViT-B-16-SigLIP2-256", kSiglip2, 768, {.timm = "vit_base_patch16_siglip_256"}, {12, 768, 12}, "timm/ViT-B-16-SigLIP2-256"},
    {"ViT-B-16-SigLIP2-384", kSiglip2, 768, {.timm = "vit_base_patch16_siglip_384"}, {12, 768, 12}, "timm/ViT-B-16-SigLIP2-384"},
    {"ViT-B-16-SigLIP2-512", kSiglip2, 768, {.timm = "vit_base_patch16_siglip_512"}, {12, 768, 12}, "timm/ViT-B-16-SigLIP2-512"},
    {"ViT-B-16-plus", kClip, 640, {224, 16, 12, 896, 64, 3584}, {12, 640, 10}},
    {"ViT-B-16-plus-240", kClip, 640, {240, 16, 12, 896, 64, 3584}, {12, 640, 10}},
    {"ViT-B-16-quickgelu", kClip, 512, {224, 16, 12, 768, 64, 3072}, {12, 512, 8}},
    {"ViT-B-32", kClip, 512, {224, 32, 12, 768, 64, 3072}, {12, 512, 8}},
    {"ViT-B-32-256", kClip, 512, {256, 32, 12, 768, 64, 3072}, {12, 512, 8}},
    {"ViT-B-32-SigLIP2-256", kSiglip2, 768, {.timm = "vit_base_patch32_siglip_256"}, {12, 768, 12}, "timm/ViT-B-32-SigLIP2-256"},
    {"ViT-B-32-plus-256", kClip, 640, {256, 32, 12, 896, 64, 3584}, {12, 640, 10}},
    {"ViT-B-32-quickgelu", kClip, 512, {224, 32, 12, 768, 64, 3072}, {12, 512, 8}},
    {"ViT-H-14", kClip, 1024, {224, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-378", kSquash, 1024, {378, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-378-quickgelu", kSquash, 1024, {378, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-CLIPA", kClipa, 1024, {224, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-CLIPA-336", kClipa, 1024, {336, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-quickgelu", kClip, 1024, {224, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-worldwide", kWorldwide, 1024, {224, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-worldwide-378", kWorldwideSquash, 1024, {378, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-14-worldwide-quickgelu", kWorldwide, 1024, {224, 14, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-H-16", kClip, 1024, {224, 16, 32, 1280, 80, 5120}, {24, 1024, 16}},
    {"ViT-L-14", kClip, 768, {224, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-280", kClip, 768, {280, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-336", kClip, 768, {336, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-336-quickgelu", kClip, 768, {336, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-CLIPA", kClipa, 768, {224, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-CLIPA-336", kClipa, 768, {336, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-quickgelu", kClip, 768, {224, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-worldwide", kWorldwideMt5, 768, {224, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-14-worldwide-quickgelu", kWorldwideMt5, 768, {224, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-16", kClip, 768, {224, 16, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-16-320", kClip, 768, {320, 16, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"ViT-L-16-SigLIP-256", kSiglip, 1024, {.timm = "vit_large_patch16_siglip_256"}, {24, 1024, 16}},
    {"ViT-L-16-SigLIP-384", kSiglip, 1024, {.timm = "vit_large_patch16_siglip_384"}, {24, 1024, 16}},
    {"ViT-L-16-SigLIP2-256", kSiglip2, 1024, {.timm = "vit_large_patch16_siglip_256"}, {24, 1024, 16}, "timm/ViT-L-16-SigLIP2-256"},
    {"ViT-L-16-SigLIP2-384", kSiglip2, 1024, {.timm = "vit_large_patch16_siglip_384"}, {24, 1024, 16}, "timm/ViT-L-16-SigLIP2-384"},
    {"ViT-L-16-SigLIP2-512", kSiglip2, 1024, {.timm = "vit_large_patch16_siglip_512"}, {24, 1024, 16}, "timm/ViT-L-16-SigLIP2-512"},
    {"ViT-M-16", kClip, 512, {224, 16, 12, 512, 64, 2048}, {12, 512, 8}},
    {"ViT-M-16-alt", kLayerScale, 384, {224, 16, 12, 512, 64, 2048}, {12, 384, 6}},
    {"ViT-M-32", kClip, 512, {224, 32, 12, 512, 64, 2048}, {12, 512, 8}},
    {"ViT-M-32-alt", kClip, 384, {224, 32, 12, 512, 64, 2048}, {12, 384, 6}},
    {"ViT-S-16", kClip, 384, {224, 16, 12, 384, 64, 1536}, {12, 384, 6}},
    {"ViT-S-16-alt", kClip, 256, {224, 16, 12, 384, 64, 1536}, {10, 256, 4}},
    {"ViT-S-32", kClip, 384, {224, 32, 12, 384, 64, 1536}, {12, 384, 6}},
    {"ViT-S-32-alt", kClip, 256, {224, 32, 12, 384, 64, 1536}, {10, 256, 4}},
    {"ViT-SO400M-14-SigLIP", kSiglip, 1152, {.timm = "vit_so400m_patch14_siglip_224"}, {27, 1152, 16, 4304, 16}},
    {"ViT-SO400M-14-SigLIP-378", kSiglip, 1152, {.timm = "vit_so400m_patch14_siglip_378"}, {27, 1152, 16, 4304}},
    {"ViT-SO400M-14-SigLIP-384", kSiglip, 1152, {.timm = "vit_so400m_patch14_siglip_384"}, {27, 1152, 16, 4304}},
    {"ViT-SO400M-14-SigLIP2", kSiglip2, 1152, {.timm = "vit_so400m_patch14_siglip_224"}, {27, 1152, 16, 4304}, "timm/ViT-SO400M-14-SigLIP2"},
    {"ViT-SO400M-14-SigLIP2-378", kSiglip2, 1152, {.timm = "vit_so400m_patch14_siglip_378"}, {27, 1152, 16, 4304}, "timm/ViT-SO400M-14-SigLIP2-378"},
    {"ViT-SO400M-16-SigLIP-i18n-256", kSiglipI18nPlain, 1152, {.timm = "vit_so400m_patch16_siglip_256"}, {27, 1152, 16, 4304}},
    {"ViT-SO400M-16-SigLIP2-256", kSiglip2, 1152, {.timm = "vit_so400m_patch16_siglip_256"}, {27, 1152, 16, 4304}, "timm/ViT-SO400M-16-SigLIP2-256"},
    {"ViT-SO400M-16-SigLIP2-384", kSiglip2, 1152, {.timm = "vit_so400m_patch16_siglip_384"}, {27, 1152, 16, 4304}, "timm/ViT-SO400M-16-SigLIP2-384"},
    {"ViT-SO400M-16-SigLIP2-512", kSiglip2, 1152, {.timm = "vit_so400m_patch16_siglip_512"}, {27, 1152, 16, 4304}, "timm/ViT-SO400M-16-SigLIP2-512"},
    {"ViT-bigG-14", kClip, 1280, {224, 14, 48, 1664, 104, 8192}, {32, 1280, 20}},
    {"ViT-bigG-14-CLIPA", kClipa, 1280, {224, 14, 48, 1664, 104, 8192}, {32, 1280, 20}},
    {"ViT-bigG-14-CLIPA-336", kClipa, 1280, {336, 14, 48, 1664, 104, 8192}, {32, 1280, 20}},
    {"ViT-bigG-14-quickgelu", kClip, 1280, {224, 14, 48, 1664, 104, 8192}, {32, 1280, 20}},
    {"ViT-bigG-14-worldwide", kWorldwide, 1280, {224, 14, 48, 1664, 104, 8192}, {32, 1280, 20}},
    {"ViT-bigG-14-worldwide-378", kWorldwideSquash, 1280, {378, 14, 48, 1664, 104, 8192}, {32, 1280, 20}},
    {"ViT-e-14", kClip, 1280, {224, 14, 56, 1792, 112, 15360}, {36, 1280, 20}},
    {"ViT-g-14", kClip, 1024, {224, 14, 40, 1408, 88, 6144}, {24, 1024, 16}},
    {"ViT-gopt-16-SigLIP2-256", kSiglip2, 1536, {.timm = "vit_giantopt_patch16_siglip_256"}, {27, 1152, 16, 4304}, "timm/ViT-gopt-16-SigLIP2-256"},
    {"ViT-gopt-16-SigLIP2-384", kSiglip2, 1536, {.timm = "vit_giantopt_patch16_siglip_384"}, {27, 1152, 16, 4304}, "timm/ViT-gopt-16-SigLIP2-384"},
    {"ViTamin-B", kViTamin, 512, {.timm = "vitamin_base_224"}, {12, 512, 8}},
    {"ViTamin-B-LTT", kViTamin, 768, {.timm = "vitamin_base_224"}, {12, 768, 12}},
    {"ViTamin-L", kViTamin, 768, {.timm = "vitamin_large_224"}, {12, 768, 12}},
    {"ViTamin-L-256", kViTamin, 768, {.timm = "vitamin_large_256"}, {12, 768, 12}},
    {"ViTamin-L-336", kViTamin, 768, {.timm = "vitamin_large_336"}, {12, 768, 12}},
    {"ViTamin-L-384", kViTamin, 768, {.timm = "vitamin_large_384"}, {12, 768, 12}},
    {"ViTamin-L2", kViTamin, 1024, {.timm = "vitamin_large2_224"}, {24, 1024, 16}},
    {"ViTamin-L2-256", kViTamin, 1024, {.timm = "vitamin_large2_256"}, {24, 1024, 16}},
    {"ViTamin-L2-336", kViTamin, 1024, {.timm = "vitamin_large2_336"}, {24, 1024, 16}},
    {"ViTamin-L2-384", kViTamin, 1024, {.timm = "vitamin_large2_384"}, {24, 1024, 16}},
    {"ViTamin-S", kViTamin, 384, {.timm = "vitamin_small_224"}, {12, 384, 6}},
    {"ViTamin-S-LTT", kViTamin, 768, {.timm = "vitamin_small_224"}, {12, 768, 12}},
    {"ViTamin-XL-256", kViTamin, 1152, {.timm = "vitamin_xlarge_256"}, {27, 1152, 16}},
    {"ViTamin-XL-336", kViTamin, 1152, {.timm = "vitamin_xlarge_336"}, {27, 1152, 16}},
    {"ViTamin-XL-384", kViTamin, 1152, {.side = 256, .timm = "vitamin_xlarge_384"}, {27, 1152, 16}},
    {"coca_ViT-B-32", kCocaPool, 512, {224, 32, 12, 768, 64, 3072}, {12, 512, 8}},
    {"coca_ViT-L-14", kCocaPool, 768, {224, 14, 24, 1024, 64, 4096}, {12, 768, 12}},
    {"coca_base", kCocaBase, 512, {288, 18, 12, 768, 64, 3072}, {12, 768, 12}},
    {"coca_roberta-ViT-B-32", kCoca, 512, {224, 32, 12, 768, 64, 3072}, {}, "roberta-base"},
    {"mt5-base-ViT-B-32", kClip, 512, {224, 32, 12, 768, 64, 3072}, {}, "google/mt5-base"},
    {"mt5-xl-ViT-H-14", kClip, 1024, {224, 14, 32, 1280, 80, 5120}, {}, "google/mt5-xl"},
    {"nllb-clip-base", kClip, 512, {224, 32, 12, 768, 64, 3072}, {}, "facebook/nllb-200-distilled-600M"},
    {"nllb-clip-base-siglip", kSiglipImage, 768, {.timm = "vit_base_patch16_siglip_384"}, {}, "facebook/nllb-200-distilled-600M"},
    {"nllb-clip-large", kClip, 1024, {224, 14, 32, 1280, 80, 5120}, {}, "facebook/nllb-200-distilled-1.3B"},
    {"nllb-clip-large-siglip", kSiglipImage, 1152, {.timm = "vit_so400m_patch14_siglip_384"}, {}, "facebook/nllb-200-distilled-1.3B"},
    {"roberta-ViT-B-32", kQuickGelu, 512, {224, 32, 12, 768, 64, 3072}, {}, "roberta-base"},
    {"vit_medium_patch16_gap_256", kTimmAverage, 512, {.timm = "vit_medium_patch16_gap_256"}, {12, 512, 8}},
    {"xlm-roberta-base-ViT-B-32", kClip, 512, {224, 32, 12, 768, 64, 3072}, {}, "xlm-roberta-base"},
    {"xlm-roberta-large-ViT-H-14", kClip, 1024, {224, 14, 32, 1280, 80, 5120}, {}, "xlm-roberta-large"},
};
// clang-format on

struct Refused {
  std::string_view part;  // of the name
  const char* reason;
};

// Families that open_clip has under names of their own. The first that fits counts.
constexpr Refused kRefused[] = {
    {"MobileCLIP", "its image tower is FastViT, most of whose blocks are convolutions"},
    {"RN", "ResNet image towers are convolutions, not a sum over layers and heads"},
    {"convnext", "ConvNeXt image towers are convolutions, not a sum over layers and heads"},
    {"swin", "Swin image towers merge patches between their stages"},
    {"vit_relpos", "its image tower has relative positions"},
};

Json SettingsOf(const Family& family) {
  Json settings = family.base == nullptr ? Json::object() : SettingsOf(*family.base);
  settings.merge_patch(ParseJson(family.settings, "settings of a family"));
  return settings;
}

// A ratio that an MLP's width is the whole part of, times `width`.
double MlpRatio(Index mlp_width, Index width) {
  return (static_cast<double>(mlp_width) + 0.5) / static_cast<double>(width);
}

// What open_clip's file of this name says.
Json OpenClipConfig(const Architecture& a) {
  Json config = SettingsOf(a.family);
  config["embed_dim"] = a.embed_width;
  if (a.name.ends_with("-quickgelu")) config["quick_gelu"] = true;
  Json& vision = config["vision_cfg"];
  if (a.image.timm != nullptr) {
    vision["timm_model_name"] = a.image.timm;
    if (a.image.side != 0) vision["image_size"] = a.image.side;
  } else {
    vision["image_size"] = a.image.side;
    vision["patch_size"] = a.image.patch;
    vision["layers"] = a.image.layers;
    vision["width"] = a.image.width;
    vision["head_width"] = a.image.head_width;
    vision["mlp_ratio"] = MlpRatio(a.image.mlp_width, a.image.width);
  }
  Json& text = config["text_cfg"];
  if (a.text.layers == 0) {
    text["hf_model_name"] = a.hugging_face;
    return config;
  }
  text["layers"] = a.text.layers;
  text["width"] = a.text.width;
  text["heads"] = a.text.heads;
  if (a.text.mlp_width != 0) text["mlp_ratio"] = MlpRatio(a.text.mlp_width, a.text.width);
  if (a.text.context != 0) text["context_length"] = a.text.context;
  if (a.hugging_face != nullptr) text["hf_tokenizer_name"] = a.hugging_face;
  return config;
}

}  // namespace

std::span<const std::string_view> ArchitectureNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    all.reserve(std::size(kArchitectures));
    for (const Architecture& a : kArchitectures) all.push_back(a.name);
    return all;
  }();
  return names;
}

ModelConfig FindArchitecture(const std::string& name) {
  std::string wanted = name;
  std::ranges::replace(wanted, '/', '-');
  const auto found = std::ranges::find(kArchitectures, wanted, &Architecture::name);
  if (found != std::end(kArchitectures)) {
    return ParseOpenClipConfig(OpenClipConfig(*found), "--arch " + wanted);
  }
  for (const Refused& refused : kRefused) {
    if (!wanted.starts_with(refused.part)) continue;
    throw Error(ErrorCode::kUnsupported, "--arch {}: {}", Printable(name), refused.reason);
  }
  throw Error(ErrorCode::kNotFound,
              "--arch {}: no architecture of that name; known are openai, {}, and a JSON file with "
              "the configuration",
              Printable(name), fmt::join(ArchitectureNames(), ", "));
}

}  // namespace cliplens
