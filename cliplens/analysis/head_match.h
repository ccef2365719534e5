// Heads of two stores that tell the same pictures apart.
//
//   const HeadMatch match = MatchHeads(store, other, {});
//   match.similarity(0, 3);       // of head 0 of `store` and head 3 of `other`, 0 … 1
//   match.matches.front();        // the two heads that are most alike
//
// Similarity is debiased linear CKA (cka.h) of the heads' contributions to the same n pictures. It
// does not change when either side is rotated, shifted or scaled. Gram matrices are computed from
// the orthonormal coordinates of each head, K+3 numbers or fewer. The upper triangles of all heads
// are multiplied together, a few pictures at a time.
#pragma once

#include <optional>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct MatchOptions {
  Index most_images = 512;  // if there are more common pictures, every n-th by path is used
  // Of the pictures of b, for what chance gives.
  Index permutations = 19;
  int threads = 0;
  ProgressSink progress = {};  // heads of both stores, as they are read
};

struct HeadPair {
  HeadId a, b;
  // With bounds by the jackknife over pictures, or 100 blocks of them. Nothing for a head without
  // variance.
  std::optional<Estimate> similarity;
};

struct HeadMatch {
  Index common = 0;                      // pictures that both stores have, by path
  Index images = 0;                      // of these, the number used
  std::vector<HeadId> heads_a, heads_b;  // by layer
  Matrix similarity;                     // [Ha, Hb], −1 … 1; 0 for a head without variance
  // In how many directions each head varies, (Σ λ)² / Σ λ² of the eigenvalues λ of its covariance,
  // estimated without bias of Σ λ²; 0 for a head without variance. [Ha], [Hb]
  std::vector<double> directions_a, directions_b;
  // One-to-one matches, min(Ha, Hb) of them: the most similar pair first, then the most similar
  // pair of the remaining heads, and so on. Ties go to the lower head of a, then of b; heads
  // without variance come last.
  std::vector<HeadPair> matches;
  // The largest similarity of all pairs of heads in any of the permutations of b's pictures. Heads
  // that have nothing to do with each other exceed it with a probability of 1/20 (of 19
  // permutations), whatever the number of heads. −1 without permutations.
  double chance = -1;
};

// Memory: 4 · (Ha + Hb) · n · (K+3) + 128 · (Ha + Hb) · n + 160 · Ha · Hb bytes: 179 MB for two
// models of 384 heads of 64 and 512 pictures. MatchHeads(b, a) has the transposed similarity. The
// same for any number of threads. Throws Error(kInvalidArgument) that names both stores for fewer
// than 5 common pictures, Error(kPrecondition) for a store with statistics only.
HeadMatch MatchHeads(const Store& a, const Store& b, const MatchOptions& options);

}  // namespace cliplens
