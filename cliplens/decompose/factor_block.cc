#include "cliplens/decompose/factor_block.h"

#include <algorithm>

#include "cliplens/io/safetensors.h"

namespace cliplens {

namespace {

FactorBlock ZeroBlock(const FactorSizes& sizes, Index residual, Index images) {
  const Index layers = sizes.layers;
  const Index embed_width = sizes.embed_width;
  FactorBlock block;
  block.constants = sizes.factor.constants;
  block.head_z = Array<float, 4>({layers, sizes.heads, images, sizes.factor.values});
  block.ln = Array<float, 2>({images, 3});
  block.mlp = Array<float, 3>({residual, images, embed_width});
  block.cls_attn = Array<float, 3>({layers, images, embed_width});
  block.embedding = Array<float, 2>({images, embed_width});
  return block;
}

}  // namespace

FactorBlock MakeBlock(const FactorSizes& sizes, Index images) {
  return ZeroBlock(sizes, sizes.components().num_residual(), images);
}

void RoundToHalf(FactorBlock& block, Index b) {
  const auto round = [](std::span<float> values) {
    for (float& v : values) v = HalfToFloat(FloatToHalf(v));
  };
  for (Index l = 0; l < block.head_z.dim(0); ++l) {
    for (Index h = 0; h < block.head_z.dim(1); ++h) round(block.head_z.view()[l][h].row(b));
  }
  for (Index j = 0; j < block.mlp.dim(0); ++j) round(block.mlp[j].row(b));
  for (Index l = 0; l < block.cls_attn.dim(0); ++l) round(block.cls_attn[l].row(b));
  round(block.embedding.row(b));
}

bool IsFinite(const FactorBlock& block, Index b) {
  const auto finite = [](std::span<const float> values) {
    float sum = 0;  // stays NaN once a value is infinite or NaN: 0 · x
    for (const float v : values) sum += 0.0f * v;
    return sum == 0.0f;
  };
  for (Index l = 0; l < block.head_z.dim(0); ++l) {
    for (Index h = 0; h < block.head_z.dim(1); ++h) {
      if (!finite(block.head_z.view()[l][h].row(b))) return false;
    }
  }
  for (Index j = 0; j < block.mlp.dim(0); ++j) {
    if (!finite(block.mlp[j].row(b))) return false;
  }
  for (Index l = 0; l < block.cls_attn.dim(0); ++l) {
    if (!finite(block.cls_attn[l].row(b))) return false;
  }
  return finite(block.embedding.row(b)) && finite(block.ln.row(b));
}

FactorBlock SelectRows(const FactorBlock& block, std::span<const Index> kept) {
  FactorBlock out = ZeroBlock({.layers = block.head_z.dim(0),
                               .heads = block.head_z.dim(1),
                               .factor = block.layout(),
                               .embed_width = block.embedding.dim(1)},
                              block.mlp.dim(0), static_cast<Index>(kept.size()));
  const auto copy = [&](ArrayView<const float, 2> from, ArrayView<float, 2> to) {
    for (std::size_t i = 0; i < kept.size(); ++i) {
      std::ranges::copy(from.row(kept[i]), to.row(static_cast<Index>(i)).data());
    }
  };
  for (Index l = 0; l < block.head_z.dim(0); ++l) {
    for (Index h = 0; h < block.head_z.dim(1); ++h) {
      copy(block.head_z.view()[l][h], out.head_z.view()[l][h]);
    }
  }
  copy(block.ln, out.ln);
  for (Index j = 0; j < block.mlp.dim(0); ++j) copy(block.mlp[j], out.mlp[j]);
  for (Index l = 0; l < block.cls_attn.dim(0); ++l) copy(block.cls_attn[l], out.cls_attn[l]);
  copy(block.embedding, out.embedding);
  return out;
}

}  // namespace cliplens
