// Heads of two stores that tell the same pictures apart.
//
//   const HeadMatch match = MatchHeads(store, other, {});
//   match.similarity(0, 3);       // of head 0 of `store` and head 3 of `other`, 0 … 1
//   match.matches.front();        // the two heads that are most alike
//
// Linear CKA ("Similarity of Neural Network Representations Revisited", arXiv 1905.00414) of the
// heads' contributions X [n, E] and Y [n, E'] to the same n pictures, about their means:
//     CKA = ‖Y^T X‖² / (‖X^T X‖ ‖Y^T Y‖) = ⟨XX^T, YY^T⟩ / (‖XX^T‖ ‖YY^T‖).
// CKA does not change when either side is rotated, shifted or scaled. Gram matrices are computed
// from the orthonormal coordinates of each head, K+3 numbers or fewer. The upper triangles of all
// heads are multiplied together, a few pictures at a time.
#pragma once

#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct MatchOptions {
  Index most_images = 512;  // if there are more common pictures, every n-th by path is used
  int threads = 0;
  ProgressSink progress = {};  // heads of both stores, as they are read
};

struct HeadPair {
  HeadId a, b;
  double similarity = 0;
};

struct HeadMatch {
  Index common = 0;                      // pictures that both stores have, by path
  Index images = 0;                      // of these, the number used
  std::vector<HeadId> heads_a, heads_b;  // by layer
  Matrix similarity;                     // [Ha, Hb], 0 for a head without variance
  // One-to-one matches, min(Ha, Hb) of them: the most similar pair first, then the most similar
  // pair of the remaining heads, and so on. Ties go to the lower head of a, then of b.
  std::vector<HeadPair> matches;
};

// Memory: 4 · (Ha + Hb) · n · (K+3) + 128 · (Ha + Hb) · n bytes: 155 MB for two models of 384 heads
// of 64 and 512 pictures. MatchHeads(b, a) has the transposed similarity. The same for any number
// of threads. Throws Error(kInvalidArgument) that names both stores for fewer than 3 common
// pictures, Error(kPrecondition) for a store with statistics only.
HeadMatch MatchHeads(const Store& a, const Store& b, const MatchOptions& options);

}  // namespace cliplens
