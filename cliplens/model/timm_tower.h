// Image towers of timm by name. open_clip's configurations name such a tower and no sizes.
//
//   const TimmTower* tower = FindTimmTower("vit_base_patch16_siglip_224");
//   Print(tower->layers, tower->width, tower->image_size);
#pragma once

#include <span>
#include <string_view>

#include "cliplens/base/index.h"
#include "cliplens/model/config.h"

namespace cliplens {

struct TimmTower {
  std::string_view name;
  Index patch_size, image_size;
  Index layers, width, heads, mlp_width;
  double norm_epsilon;
  Activation activation = Activation::kGelu;
  bool class_token = true;
  bool ln_pre = false;
  Index pool_heads = 0;  // of an attention pool; 0: the class token's row is pooled
  Index pool_mlp_width = 0;
  QkvLayout qkv = QkvLayout::kWhole;
  Index rotary_reference = 0;  // 0: no rotary positions
  double rotary_offset = 0;
  bool rotary_x_first = false;
  bool eva02 = false;  // sub-LN and the gated MLP
  bool layer_scale = false;
  bool average = false;  // the mean of the rows behind the final LayerNorm is pooled
  StemConfig stem = {};
  Positions positions = Positions::kAllTokens;
  bool vitamin = false;  // gated MLPs, and the mean of the patches' rows is pooled
  bool post_norm = false;
  Index registers = 0;
  bool mean_norm = false;  // the mean of the patches' rows is pooled, then a LayerNorm
};

std::span<const TimmTower> TimmTowers();
// Null for a name that is none of them.
const TimmTower* FindTimmTower(std::string_view name);

}  // namespace cliplens
