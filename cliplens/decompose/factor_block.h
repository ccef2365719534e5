// Factors of some pictures, as a shard of a store holds them.
//
//   FactorBlock block = MakeBlock(basis.sizes(), images);
//   decomposer.Fill(captures, embedding, scratch, block, b);    // row b
//   const Matrix u = block.Factors({11, 3}, 0, images);         // [images, K+3] of L11.H3
#pragma once

#include <span>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/decompose/basis.h"

namespace cliplens {

// The factors of B images.
struct FactorBlock {
  Array<float, 4> head_z;                      // [L, H, B, K]
  Array<float, 2> ln;                          // [B, 3]: μ, σ, n
  Array<float, 3> mlp;                         // [L+1, B, E]: INPUT, MLP 0 …, POOL.MLP
  Array<float, 3> cls_attn;                    // [L, B, E]
  Array<float, 2> embedding;                   // [B, E]
  Index constants = FactorLayout{}.constants;  // FactorLayout::constants
  Index images() const { return ln.dim(0); }
  FactorLayout layout() const { return {.values = head_z.dim(3), .constants = constants}; }
  // [B, K] of one head.
  ArrayView<const float, 2> HeadRows(HeadId id) const { return head_z.view()[id.layer][id.head]; }
  // Factors u [end − begin, K+3] of one head of images [begin, end).
  Matrix Factors(HeadId id, Index begin, Index end) const {
    return FactorsOf(layout(), HeadRows(id).rows(begin, end), ln.rows(begin, end));
  }
};
// Zeros for `images` pictures.
FactorBlock MakeBlock(const FactorSizes& sizes, Index images);

// Rows `kept` of a block, in that order.
FactorBlock SelectRows(const FactorBlock& block, std::span<const Index> kept);
// Rounds every number of row b, except μ, σ and n, to fp16.
void RoundToHalf(FactorBlock& block, Index b);
// Whether every number of row b is finite.
bool IsFinite(const FactorBlock& block, Index b);

}  // namespace cliplens
