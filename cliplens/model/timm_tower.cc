#include "cliplens/model/timm_tower.h"

#include <algorithm>

namespace cliplens {
namespace {

constexpr Activation kExact = Activation::kGelu;
constexpr Activation kTanh = Activation::kGeluTanh;

// Sizes as timm makes the towers; tests/parity compares the two.
constexpr TimmTower kTowers[] = {
    // name, patch, side, layers, width, heads, MLP, ε, activation, class token, LayerNorm in front
    {"vit_base_patch16_224", 16, 224, 12, 768, 12, 3072, 1e-6},
    {"vit_large_patch14_clip_224", 14, 224, 24, 1024, 16, 4096, 1e-5, kExact, true, true},
    {"vit_base_patch16_siglip_224", 16, 224, 12, 768, 12, 3072, 1e-6, kExact, false},
    {"vit_base_patch16_siglip_256", 16, 256, 12, 768, 12, 3072, 1e-6, kExact, false},
    {"vit_base_patch16_siglip_384", 16, 384, 12, 768, 12, 3072, 1e-6, kExact, false},
    {"vit_base_patch16_siglip_512", 16, 512, 12, 768, 12, 3072, 1e-6, kExact, false},
    {"vit_base_patch32_siglip_256", 32, 256, 12, 768, 12, 3072, 1e-6, kTanh, false},
    {"vit_large_patch16_siglip_256", 16, 256, 24, 1024, 16, 4096, 1e-6, kExact, false},
    {"vit_large_patch16_siglip_384", 16, 384, 24, 1024, 16, 4096, 1e-6, kExact, false},
    {"vit_large_patch16_siglip_512", 16, 512, 24, 1024, 16, 4096, 1e-6, kTanh, false},
    {"vit_so400m_patch14_siglip_224", 14, 224, 27, 1152, 16, 4304, 1e-6, kExact, false},
    {"vit_so400m_patch14_siglip_378", 14, 378, 27, 1152, 16, 4304, 1e-6, kExact, false},
    {"vit_so400m_patch14_siglip_384", 14, 384, 27, 1152, 16, 4304, 1e-6, kExact, false},
    {"vit_so400m_patch16_siglip_256", 16, 256, 27, 1152, 16, 4304, 1e-6, kTanh, false},
    {"vit_so400m_patch16_siglip_384", 16, 384, 27, 1152, 16, 4304, 1e-6, kTanh, false},
    {"vit_so400m_patch16_siglip_512", 16, 512, 27, 1152, 16, 4304, 1e-6, kTanh, false},
    {"vit_giantopt_patch16_siglip_256", 16, 256, 40, 1536, 16, 6144, 1e-6, kTanh, false},
    {"vit_giantopt_patch16_siglip_384", 16, 384, 40, 1536, 16, 6144, 1e-6, kTanh, false},
};

}  // namespace

std::span<const TimmTower> TimmTowers() { return kTowers; }

const TimmTower* FindTimmTower(std::string_view name) {
  const auto found = std::ranges::find(kTowers, name, &TimmTower::name);
  return found == std::end(kTowers) ? nullptr : &*found;
}

}  // namespace cliplens
