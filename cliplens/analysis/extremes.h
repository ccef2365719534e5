// The pictures highest and lowest along a direction of one head.
//
//   const HeadId head = {5, 2};
//   const TextSpanResult span = TextSpan(store.statistics().HeadMoments(head),
//                                        store.basis().at(head), texts, {.count = 1});
//   const std::vector<Extremes> found =
//       ExtremesOf(store.ReadFactors(head), {span.texts[0].weight}, /*count=*/6);
//   for (const ScoredItem& item : found[0].highest) Print(item.item, item.score);
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

// factors u [B, K+3] of one head (FactorsOf); weights: one [K+3] for each direction
// (SpanText::weight). Returns one entry for each direction. Throws Error(kInvalidArgument) for a
// weight of another width.
std::vector<Extremes> ExtremesOf(const Matrix& factors, const std::vector<Vector>& weights,
                                 Index count);

// The `count` items of largest score, best first; ties go to the lower item.
void KeepBest(std::vector<ScoredItem>& items, Index count);

}  // namespace cliplens
