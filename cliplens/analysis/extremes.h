// The pictures highest and lowest along a direction of one head.
#pragma once

#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct ScoredItem {
  Index item = 0;
  double score = 0;  // ⟨contribution − mean, direction⟩, in units of the embedding's length
};

struct Extremes {
  std::vector<ScoredItem> highest;  // best first; ties by lower item
  std::vector<ScoredItem> lowest;   // lowest first
};

// z [B, K] of one head and ln [B, 3] as Store::ReadHead and ReadLn give them; weights: one [K+3]
// for each direction (SpanText::weight). Returns one entry for each direction.
std::vector<Extremes> ExtremesOf(ArrayView<const float, 2> z, ArrayView<const float, 2> ln,
                                 const std::vector<Vector>& weights, Index count);

}  // namespace cliplens
