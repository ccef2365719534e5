#include "cliplens/model/timm_tower.h"

#include <algorithm>

namespace cliplens {
namespace {

constexpr Activation kExact = Activation::kGelu;
constexpr Activation kTanh = Activation::kGeluTanh;

constexpr QkvLayout kWhole = QkvLayout::kWhole;
constexpr QkvLayout kNoKeyBias = QkvLayout::kWholeWithoutKeyBias;
constexpr QkvLayout kNoBias = QkvLayout::kWholeWithoutBias;
constexpr QkvLayout kApart = QkvLayout::kApartWithoutKeyBias;

constexpr TimmTower MobileClip(TimmTower tower) {
  tower.stem = {StemKind::kConvolutions, 192};
  tower.positions = Positions::kPatches;
  return tower;
}

constexpr TimmTower ViTamin(TimmTower tower, Index stem_width,
                            Positions positions = Positions::kAllTokens) {
  tower.class_token = false;
  tower.stem = {StemKind::kMbConv, stem_width};
  tower.positions = positions;
  tower.vitamin = true;
  return tower;
}

constexpr TimmTower WithRegisters(TimmTower tower, bool layer_scale = true) {
  tower.layer_scale = layer_scale;
  tower.positions = Positions::kPatches;
  tower.registers = 4;
  return tower;
}

// Without a class token: the mean of the patches' rows is pooled.
constexpr TimmTower MeanWithRegisters(const TimmTower& sizes, bool layer_scale = true) {
  TimmTower tower = WithRegisters(sizes, layer_scale);
  tower.class_token = false;
  tower.mean_norm = true;
  return tower;
}

constexpr TimmTower kEva02Enormous = {.name = "eva02_enormous_patch14_clip_224",
                                      .patch_size = 14,
                                      .image_size = 224,
                                      .layers = 64,
                                      .width = 1792,
                                      .heads = 16,
                                      .mlp_width = 15360,
                                      .norm_epsilon = 1e-6,
                                      .qkv = kNoKeyBias,
                                      .post_norm = true};

// Sizes as timm makes the towers; tests/parity compares the two.
// clang-format off
constexpr TimmTower kTowers[] = {
    // name, patch, side, layers, width, heads, MLP, ε, activation, class token, LayerNorm in front,
    // heads and MLP of the attention pool, queries and keys, rotary positions, EVA-02's blocks,
    // LayerScale, an average is pooled
    {"vit_base_patch16_224", 16, 224, 12, 768, 12, 3072, 1e-6},
    {"vit_large_patch14_clip_224", 14, 224, 24, 1024, 16, 4096, 1e-5, kExact, true, true},
    {"vit_medium_patch16_gap_256", 16, 256, 12, 512, 8, 2048, 1e-6, kExact, false, false, 0, 0, kNoBias, 0, 0, false, false, true, true},
    {"vit_base_patch16_siglip_224", 16, 224, 12, 768, 12, 3072, 1e-6, kExact, false, false, 12, 3072},
    {"vit_base_patch16_siglip_256", 16, 256, 12, 768, 12, 3072, 1e-6, kExact, false, false, 12, 3072},
    {"vit_base_patch16_siglip_384", 16, 384, 12, 768, 12, 3072, 1e-6, kExact, false, false, 12, 3072},
    {"vit_base_patch16_siglip_512", 16, 512, 12, 768, 12, 3072, 1e-6, kExact, false, false, 12, 3072},
    {"vit_base_patch32_siglip_256", 32, 256, 12, 768, 12, 3072, 1e-6, kTanh, false, false, 12, 3072},
    {"vit_large_patch16_siglip_256", 16, 256, 24, 1024, 16, 4096, 1e-6, kExact, false, false, 16, 4096},
    {"vit_large_patch16_siglip_384", 16, 384, 24, 1024, 16, 4096, 1e-6, kExact, false, false, 16, 4096},
    {"vit_large_patch16_siglip_512", 16, 512, 24, 1024, 16, 4096, 1e-6, kTanh, false, false, 16, 4096},
    {"vit_so400m_patch14_siglip_224", 14, 224, 27, 1152, 16, 4304, 1e-6, kExact, false, false, 16, 4304},
    {"vit_so400m_patch14_siglip_378", 14, 378, 27, 1152, 16, 4304, 1e-6, kExact, false, false, 16, 4304},
    {"vit_so400m_patch14_siglip_384", 14, 384, 27, 1152, 16, 4304, 1e-6, kExact, false, false, 16, 4304},
    {"vit_so400m_patch16_siglip_256", 16, 256, 27, 1152, 16, 4304, 1e-6, kTanh, false, false, 16, 4304},
    {"vit_so400m_patch16_siglip_384", 16, 384, 27, 1152, 16, 4304, 1e-6, kTanh, false, false, 16, 4304},
    {"vit_so400m_patch16_siglip_512", 16, 512, 27, 1152, 16, 4304, 1e-6, kTanh, false, false, 16, 4304},
    {"vit_giantopt_patch16_siglip_256", 16, 256, 40, 1536, 16, 6144, 1e-6, kTanh, false, false, 16, 6144},
    {"vit_giantopt_patch16_siglip_384", 16, 384, 40, 1536, 16, 6144, 1e-6, kTanh, false, false, 16, 6144},
    {"vit_pe_core_tiny_patch16_384", 16, 384, 12, 192, 3, 768, 1e-5, kExact, true, true, 8, 768, kWhole, 24, 1, true},
    {"vit_pe_core_small_patch16_384", 16, 384, 12, 384, 6, 1536, 1e-5, kExact, true, true, 8, 1536, kWhole, 24, 1, true},
    {"vit_pe_core_base_patch16_224", 16, 224, 12, 768, 12, 3072, 1e-5, kExact, true, true, 8, 3072, kWhole, 14, 1, true},
    {"vit_pe_core_large_patch14_336", 14, 336, 24, 1024, 16, 4096, 1e-5, kExact, true, true, 8, 4096, kWhole, 24, 1, true},
    {"vit_pe_core_gigantic_patch14_448", 14, 448, 50, 1536, 16, 8960, 1e-5, kExact, false, true, 8, 6144, kWhole, 32, 0, true},
    {"eva_giant_patch14_224", 14, 224, 40, 1408, 16, 6144, 1e-6, kExact, true, false, 0, 0, kNoKeyBias},
    {"eva02_base_patch16_clip_224", 16, 224, 12, 768, 12, 2048, 1e-6, kExact, true, false, 0, 0, kApart, 16, 0, false, true},
    {"eva02_large_patch14_clip_224", 14, 224, 24, 1024, 16, 2730, 1e-6, kExact, true, false, 0, 0, kApart, 16, 0, false, true},
    {"eva02_large_patch14_clip_336", 14, 336, 24, 1024, 16, 2730, 1e-6, kExact, true, false, 0, 0, kApart, 16, 0, false, true},
    kEva02Enormous,
    MobileClip({"vit_base_mci_224", 16, 224, 12, 768, 12, 3072, 1e-6}),
    MeanWithRegisters({"vit_little_patch16_reg4_gap_256", 16, 256, 14, 320, 5, 1792, 1e-6}),
    MeanWithRegisters({"vit_medium_patch16_reg4_gap_256", 16, 256, 12, 512, 8, 2048, 1e-6}),
    MeanWithRegisters({"vit_mediumd_patch16_reg4_gap_256", 16, 256, 20, 512, 8, 2048, 1e-6}),
    MeanWithRegisters({"vit_mediumd_patch16_reg4_gap_384", 16, 384, 20, 512, 8, 2048, 1e-6}),
    MeanWithRegisters({"vit_betwixt_patch16_reg4_gap_256", 16, 256, 12, 640, 10, 2560, 1e-6}),
    MeanWithRegisters({"vit_betwixt_patch16_reg4_gap_384", 16, 384, 12, 640, 10, 2560, 1e-6}),
    MeanWithRegisters({"vit_base_patch16_reg4_gap_256", 16, 256, 12, 768, 12, 3072, 1e-6}, false),
    WithRegisters({"vit_small_patch14_reg4_dinov2", 14, 518, 12, 384, 6, 1536, 1e-6}),
    WithRegisters({"vit_base_patch14_reg4_dinov2", 14, 518, 12, 768, 12, 3072, 1e-6}),
    WithRegisters({"vit_large_patch14_reg4_dinov2", 14, 518, 24, 1024, 16, 4096, 1e-6}),
    // sizes, channels of the first convolution
    ViTamin({"vitamin_small_224", 16, 224, 14, 384, 6, 768, 1e-6}, 64),
    ViTamin({"vitamin_base_224", 16, 224, 14, 768, 12, 1536, 1e-6}, 128),
    ViTamin({"vitamin_large_224", 16, 224, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large_256", 16, 256, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large_336", 16, 336, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large_384", 16, 384, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large2_224", 16, 224, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large2_256", 16, 256, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large2_336", 16, 336, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_large2_384", 16, 384, 31, 1024, 16, 2048, 1e-6}, 160),
    ViTamin({"vitamin_xlarge_256", 16, 256, 32, 1152, 16, 2304, 1e-6}, 192, Positions::kNone),
    ViTamin({"vitamin_xlarge_336", 16, 336, 32, 1152, 16, 2304, 1e-6}, 192, Positions::kNone),
    ViTamin({"vitamin_xlarge_384", 16, 384, 32, 1152, 16, 2304, 1e-6}, 192, Positions::kNone),
};
// clang-format on

}  // namespace

std::span<const TimmTower> TimmTowers() { return kTowers; }

const TimmTower* FindTimmTower(std::string_view name) {
  const auto found = std::ranges::find(kTowers, name, &TimmTower::name);
  return found == std::end(kTowers) ? nullptr : &*found;
}

}  // namespace cliplens
