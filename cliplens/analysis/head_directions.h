// The directions of the joint space that a head writes along, and what it reads to do so, from its
// weights alone.
//
//   const std::vector<HeadDirections> found = DirectionsOfHeads(
//       model.image_tower(), model.image_readout(), heads, /*count=*/3, threads);
//   Print(found[0].values(0), found[0].writes.row(0).norm());       // σ_1, 1
//
// "From Weights to Concepts: Data-Free Interpretability of CLIP via Singular Vector Decomposition"
// (arXiv 2603.24653) takes the singular vectors of a head's value-output matrix and then projects
// them. Here the matrix is first continued to the joint space, so that singular values measure what
// reaches the embedding (docs/weights.md).
#pragma once

#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/readout.h"
#include "cliplens/model/tower.h"

namespace cliplens {

// A head of width K maps a token x, made mean 0 and variance 1 by the block's LayerNorm, to
//     x · C diag(γ_1) W_V · W_O C diag(γ) P + constant = x · Σ_k σ_k reads_k writes_k^T + constant,
// which attention then averages over the tokens and the read-out divides by σ n. C subtracts the
// mean, γ_1 is the gain of the block's first LayerNorm, γ and P are those of the read-out.
struct HeadDirections {
  HeadId id;
  Vector values;  // [K] all σ_k, descending; [E] where E is smaller than K
  Matrix writes;  // [n, E] orthonormal rows; of σ_k above 1e-6 σ_1, below which they are rounding
  Matrix reads;   // [n, D] orthonormal rows in the block's input, of mean 0
};

// The first `count` directions of each head, in the order of `heads`; the same to the byte for any
// number of threads. A direction is determined up to its sign: here the number of writes_k that is
// largest in absolute value is positive, and reads_k goes with it. Throws Error(kInvalidArgument)
// for a head that is not there, Error(kUnsupported) where weights are not finite.
std::vector<HeadDirections> DirectionsOfHeads(const Tower& tower, const Readout& readout,
                                              const std::vector<HeadId>& heads, Index count,
                                              int threads);

// Shares σ_k² / Σ σ² [K] of a head's variance over tokens that are spread evenly; 0 where all σ
// are.
Vector SharesOf(const Vector& values);
// exp(−Σ p ln p) of shares p: how many directions of equal share would be spread as widely. 0 for a
// head that writes nothing.
double EffectiveRank(const Vector& shares);

}  // namespace cliplens
