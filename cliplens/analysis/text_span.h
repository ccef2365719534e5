// TextSpan: which texts span what a head writes.
//
//   const TextSpanResult r = TextSpan(store.statistics().HeadMoments({5, 2}),
//                                    store.basis().at({5, 2}), texts, {.count = 20});
//   for (const SpanText& t : r.texts) Print(At(pool.texts, t.index), t.share);
#pragma once

#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"

namespace cliplens {

struct TextSpanOptions {
  Index count = 20;
  // Texts are projected onto at most this many directions of the head, and never onto more than its
  // numerical rank (0: the numerical rank).
  Index rank = 0;
};

struct SpanText {
  Index index = 0;   // in the pool
  double share = 0;  // of the head's variance that this text explains beyond those before it
  double cumulative = 0;
  // [K+3] The direction, a unit vector of the joint space, as a weight on the factor u:
  // ⟨contribution, direction⟩ = weight · u.
  Vector weight;
};

struct TextSpanResult {
  Index rank = 0;       // directions in which texts were compared
  double variance = 0;  // trace of the head's covariance, in squares of the embedding's length
  std::vector<SpanText> texts;  // fewer than `count` if they explain all variance
};

// How much of the pictures' variance so many texts explain when they are chosen on other pictures:
// the texts of all slices but one against that slice, summed over the slices. Entry t is of t + 1
// texts. The shares of TextSpan are of the pictures that the texts were chosen on and so too high
// where these are few. [count], or nothing for fewer than two slices with pictures, for a slice
// whose rest has fewer than two, or without variance.
//   slices: moments of disjoint parts of the pictures
std::vector<double> HeldOutShares(std::span<const Moments> slices,
                                  ArrayView<const float, 2> head_basis,
                                  ArrayView<const float, 2> texts, const TextSpanOptions& options);

// Chooses texts that explain most of one head's variance, one after the other.
// Paper: "Interpreting CLIP's Image Representation via Text-Based Decomposition"
// (arXiv 2310.05916), Algorithm 1; here from the factor's moments, so the cost is O(count · M · K),
// however many images there are.
//   moments: of the head's factor [K+3]; head_basis: B [K+3, E]; texts: unit rows [M, E]
// Texts are projected onto the span of the head's contributions about zero and never normalised.
// Ties go to the lower index. Throws Error(kInvalidArgument) if widths differ or there is no text,
// Error(kPrecondition) on fewer than two images.
TextSpanResult TextSpan(const Moments& moments, ArrayView<const float, 2> head_basis,
                        ArrayView<const float, 2> texts, const TextSpanOptions& options);

// All of `heads` in parallel, in their order; the same to the byte for any number of threads.
std::vector<TextSpanResult> TextSpanOfHeads(const Statistics& statistics, const Basis& basis,
                                            const std::vector<HeadId>& heads,
                                            ArrayView<const float, 2> texts,
                                            const TextSpanOptions& options, int threads);

// HeldOutShares of all of `heads`.
std::vector<std::vector<double>> HeldOutSharesOfHeads(const Statistics& statistics,
                                                      const Basis& basis,
                                                      const std::vector<HeadId>& heads,
                                                      ArrayView<const float, 2> texts,
                                                      const TextSpanOptions& options, int threads);

// The directions of the chosen texts in the joint space, orthonormal rows [texts, E].
//   head_basis: B [K+3, E] of the same head
Matrix DirectionsOf(const TextSpanResult& result, ArrayView<const float, 2> head_basis);

}  // namespace cliplens
