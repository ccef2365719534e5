#include "cliplens/model/architectures.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// Sizes as in open_clip's files of model configurations; tests/parity compares the two.
// clang-format off
constexpr Architecture kArchitectures[] = {
    // name, E, side, patch; image tower: layers, width, head, MLP; text: layers, width, heads;
    // QuickGELU, LayerScale, another text tower
    {"ViT-B-16-plus-240", 640, 240, 16, 12, 896, 64, 3584, 12, 640, 10},
    {"ViT-B-16-plus", 640, 224, 16, 12, 896, 64, 3584, 12, 640, 10},
    {"ViT-B-16-quickgelu", 512, 224, 16, 12, 768, 64, 3072, 12, 512, 8, true},
    {"ViT-B-16", 512, 224, 16, 12, 768, 64, 3072, 12, 512, 8},
    {"ViT-B-32-256", 512, 256, 32, 12, 768, 64, 3072, 12, 512, 8},
    {"ViT-B-32-plus-256", 640, 256, 32, 12, 896, 64, 3584, 12, 640, 10},
    {"ViT-B-32-quickgelu", 512, 224, 32, 12, 768, 64, 3072, 12, 512, 8, true},
    {"ViT-B-32", 512, 224, 32, 12, 768, 64, 3072, 12, 512, 8},
    {"ViT-H-14-378-quickgelu", 1024, 378, 14, 32, 1280, 80, 5120, 24, 1024, 16, true},
    {"ViT-H-14-378", 1024, 378, 14, 32, 1280, 80, 5120, 24, 1024, 16},
    {"ViT-H-14-quickgelu", 1024, 224, 14, 32, 1280, 80, 5120, 24, 1024, 16, true},
    {"ViT-H-14", 1024, 224, 14, 32, 1280, 80, 5120, 24, 1024, 16},
    {"ViT-H-16", 1024, 224, 16, 32, 1280, 80, 5120, 24, 1024, 16},
    {"ViT-L-14-280", 768, 280, 14, 24, 1024, 64, 4096, 12, 768, 12},
    {"ViT-L-14-336-quickgelu", 768, 336, 14, 24, 1024, 64, 4096, 12, 768, 12, true},
    {"ViT-L-14-336", 768, 336, 14, 24, 1024, 64, 4096, 12, 768, 12},
    {"ViT-L-14-quickgelu", 768, 224, 14, 24, 1024, 64, 4096, 12, 768, 12, true},
    {"ViT-L-14", 768, 224, 14, 24, 1024, 64, 4096, 12, 768, 12},
    {"ViT-L-16-320", 768, 320, 16, 24, 1024, 64, 4096, 12, 768, 12},
    {"ViT-L-16", 768, 224, 16, 24, 1024, 64, 4096, 12, 768, 12},
    {"ViT-M-16-alt", 384, 224, 16, 12, 512, 64, 2048, 12, 384, 6, false, true},
    {"ViT-M-16", 512, 224, 16, 12, 512, 64, 2048, 12, 512, 8},
    {"ViT-M-32-alt", 384, 224, 32, 12, 512, 64, 2048, 12, 384, 6},
    {"ViT-M-32", 512, 224, 32, 12, 512, 64, 2048, 12, 512, 8},
    {"ViT-S-16-alt", 256, 224, 16, 12, 384, 64, 1536, 10, 256, 4},
    {"ViT-S-16", 384, 224, 16, 12, 384, 64, 1536, 12, 384, 6},
    {"ViT-S-32-alt", 256, 224, 32, 12, 384, 64, 1536, 10, 256, 4},
    {"ViT-S-32", 384, 224, 32, 12, 384, 64, 1536, 12, 384, 6},
    {"ViT-bigG-14-quickgelu", 1280, 224, 14, 48, 1664, 104, 8192, 32, 1280, 20, true},
    {"ViT-bigG-14", 1280, 224, 14, 48, 1664, 104, 8192, 32, 1280, 20},
    {"ViT-e-14", 1280, 224, 14, 56, 1792, 112, 15360, 36, 1280, 20},
    {"ViT-g-14", 1024, 224, 14, 40, 1408, 88, 6144, 24, 1024, 16},
    {"mt5-base-ViT-B-32", 512, 224, 32, 12, 768, 64, 3072, 0, 0, 0, false, false, "google/mt5-base"},
    {"mt5-xl-ViT-H-14", 1024, 224, 14, 32, 1280, 80, 5120, 0, 0, 0, false, false, "google/mt5-xl"},
    {"nllb-clip-base", 512, 224, 32, 12, 768, 64, 3072, 0, 0, 0, false, false, "facebook/nllb-200-distilled-600M"},
    {"nllb-clip-large", 1024, 224, 14, 32, 1280, 80, 5120, 0, 0, 0, false, false, "facebook/nllb-200-distilled-1.3B"},
    {"roberta-ViT-B-32", 512, 224, 32, 12, 768, 64, 3072, 0, 0, 0, true, false, "roberta-base"},
    {"xlm-roberta-base-ViT-B-32", 512, 224, 32, 12, 768, 64, 3072, 0, 0, 0, false, false, "xlm-roberta-base"},
    {"xlm-roberta-large-ViT-H-14", 1024, 224, 14, 32, 1280, 80, 5120, 0, 0, 0, false, false, "xlm-roberta-large"},
};
// clang-format on

struct Refused {
  std::string_view part;  // of the name
  bool at_start;
  const char* reason;
};

// Families that open_clip has under names of their own. The first that fits counts.
constexpr Refused kRefused[] = {
    {"coca_", true, "CoCa models have a text decoder and attention pooling"},
    {"RN", true, "ResNet image towers are not transformers"},
    {"SigLIP", false, "SigLIP models pool by attention and have a tokenizer of their own"},
    {"CLIPA", false, "CLIPA models pool the mean of all tokens and have a tokenizer of their own"},
    {"worldwide", false,
     "it has a tokenizer of its own; name a JSON file with its tokenizer's files beside it"},
    {"nllb", true, "its image tower is SigLIP's, which pools by attention"},
    {"EVA", true, "image towers from timm are not evaluated"},
    {"MobileCLIP", true, "image towers from timm are not evaluated"},
    {"PE-", true, "image towers from timm are not evaluated"},
    {"ViTamin", true, "image towers from timm are not evaluated"},
    {"convnext", true, "image towers from timm are not evaluated"},
    {"swin", true, "image towers from timm are not evaluated"},
    {"vit_", true, "image towers from timm are not evaluated"},
};

}  // namespace

std::span<const Architecture> Architectures() { return kArchitectures; }

ModelConfig ConfigOf(const Architecture& a) {
  ModelConfig config;
  config.embed_width = a.embed_width;
  const Activation activation = a.quick_gelu ? Activation::kQuickGelu : Activation::kGelu;
  config.vision = {.layers = a.layers,
                   .width = a.width,
                   .heads = a.width / a.head_width,
                   .mlp_width = a.mlp_width,
                   .activation = activation,
                   .layer_scale = a.layer_scale};
  config.patch_size = a.patch_size;
  config.preprocess.image_size = a.image_size;
  if (!a.other_text.empty()) {
    config.other_text = OtherTextTower(a.other_text);
    return config;
  }
  config.text = {.layers = a.text_layers,
                 .width = a.text_width,
                 .heads = a.text_heads,
                 .mlp_width = 4 * a.text_width,
                 .activation = activation};
  config.context_length = 77;
  config.vocabulary_size = 49'408;
  return config;
}

ModelConfig FindArchitecture(const std::string& name) {
  std::string wanted = name;
  std::ranges::replace(wanted, '/', '-');
  const auto found = std::ranges::find(kArchitectures, wanted, &Architecture::name);
  if (found != std::end(kArchitectures)) return ConfigOf(*found);
  for (const Refused& refused : kRefused) {
    const std::size_t at = wanted.find(refused.part);
    if (at != std::string::npos && (!refused.at_start || at == 0)) {
      throw Error(ErrorCode::kUnsupported, "--arch {}: {}", Printable(name), refused.reason);
    }
  }
  std::string known;
  for (const Architecture& a : kArchitectures) {
    known += (known.empty() ? "" : ", ") + std::string(a.name);
  }
  throw Error(ErrorCode::kNotFound,
              "--arch {}: no architecture of that name; known are openai, {}, and a JSON file with "
              "the configuration",
              Printable(name), known);
}

}  // namespace cliplens
