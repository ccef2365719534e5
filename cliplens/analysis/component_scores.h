// Scores of components against directions of the joint space (texts, classes), without forming
// contributions: ⟨c, w⟩ = u · (B w) (docs/design.md, "Scores"). Equal directions give equal bits.
//
//   const ComponentScores scores(store.basis(), classifier, /*threads=*/0);
//   const Matrix u = store.ReadFactors({5, 2});
//   const Matrix logits = scores.Head({5, 2}, u);       // [B, C]: what L5.H2 adds to each class
#pragma once

#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"

namespace cliplens {

class ComponentScores {
 public:
  // directions [C, E]. Memory: L · H · (K+3) · C doubles. Throws Error(kInvalidArgument) when the
  // widths differ.
  ComponentScores(const Basis& basis, ArrayView<const float, 2> directions, int threads);

  Index directions() const { return rows_.rows(); }
  const Components& components() const { return components_; }
  // B w of one head for all directions [K+3, C].
  const Matrix& OfHead(HeadId id) const { return At(heads_, components_.NumberOf(id)); }
  // Scores [n, C] of factors u [n, K+3] of one head.
  Matrix Head(HeadId id, const Matrix& u) const;
  Vector Head(HeadId id, const Vector& u) const;  // [K+3] to [C]
  // Scores [n, C] of the component with this number (Components), of images [begin, end) of a
  // block.
  Matrix Component(Index number, const FactorBlock& block, Index begin, Index end) const;
  // Scores [n, C] of vectors [n, E] of the joint space, such as embeddings.
  Matrix Rows(ArrayView<const float, 2> rows) const;
  Vector Row(const Vector& row) const;  // [E] to [C]

 private:
  Components components_;
  Matrix rows_;  // the directions
  std::vector<Matrix> heads_;
};

// Scores of the components' means, each [C].
struct MeanScores {
  std::vector<Vector> components;  // heads by layer, then INPUT, MLP 0 …
  std::vector<Vector> layers;      // [L]: the sum of a layer's heads
  Vector mlp_sum, cls_sum;         // of INPUT and the MLPs; of the class token's own attention
  Vector pool_mlp;                 // of POOL.MLP; 0 without one

  MeanScores(const Statistics& statistics, const Basis& basis, const ComponentScores& scores);
};

}  // namespace cliplens
