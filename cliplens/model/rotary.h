// Rotary positions: queries and keys of a patch are turned by angles that its place gives.
//
//   const Array<float, 2> table = RotaryTable({.reference = 14}, layout, /*head_width=*/64);
//   Rotate(table, layout.prefix, {.rows = tokens, .heads = 12, .stride = 2304, .x = queries});
//
// "RoFormer: Enhanced Transformer with Rotary Position Embedding" (arXiv 2104.09864), section 3.4,
// along two axes as in EVA-02 (arXiv 2303.11331).
#pragma once

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

// [patches, K]: cosine and sine of each pair of a head's numbers.
Array<float, 2> RotaryTable(const RotaryConfig& config, const TokenLayout& layout,
                            Index head_width);

struct RotateArgs {
  Index rows = 0;   // tokens, those in front of the patches too
  Index heads = 0;  // side by side
  Index stride = 0;
  float* x = nullptr;
};
// Turns the pairs of every patch's row; the first `prefix` rows stay as they are.
void Rotate(const Array<float, 2>& table, Index prefix, const RotateArgs& args);

}  // namespace cliplens
