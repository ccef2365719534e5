// The answers and rows of a store's pictures under an edit that changes by a few components at a
// time.
//
//   LiveEdit live(store, classifier, /*threads=*/0);             // classifier [C, E]
//   live.Apply(ParseComponents("L5.H3,L5.H4", {6, 6}), /*mean=*/true, /*scale=*/0);
//   live.Answers()[12];                                          // the best class of picture 12
//   live.Rows().row(12);                                         // its edited unit row
//
// An edit subtracts Σ_c w_c c from the embedding and adds a constant (decompose/edit.h). Class
// scores and rows are kept as sums in fp64. A new edit only updates the components whose weight w_c
// changed; if those are more than the components that it has, it starts again from the unedited
// pictures. A component's scores are products over the K+3 numbers of its factor. Rounding after n
// changes is at most about n · 1e-16 · |w c|.
//
// Memory for B pictures, besides the store: 16 · B · C bytes of scores, 12 · B · E bytes of rows
// once they are asked for, and about 25 MB. Measured for 10,240 pictures, E = 768, C = 100: 40 MB,
// and 135 MB with rows.
#pragma once

#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Used by one thread at a time.
class LiveEdit {
 public:
  // Begins without an edit. The store must outlive this. classifier: unit rows [C, E], or empty:
  // then there are no answers. Throws Error(kPrecondition) for a store with statistics only and
  // Error(kInvalidArgument) for another width than the store's.
  LiveEdit(const Store& store, ArrayView<const float, 2> classifier, int threads);

  // Replaces the targets by their means over the store, or scales them if `mean` is false, as
  // MakeMeanEdit and MakeScaleEdit do. Without targets nothing is edited. Throws
  // Error(kInvalidArgument) for a target that the model lacks or that is named twice (also with its
  // whole layer), and as those two; the previous edit then stays.
  void Apply(std::span<const ComponentId> targets, bool mean, double scale);

  // Best class of each picture [B], ties to the lower one; empty without a classifier. Equal to
  // what EvaluateGroups counts.
  const std::vector<Index>& BaseAnswers() const { return base_answers_; }
  const std::vector<Index>& Answers();
  // Unit rows [B, E], as EditedRows with `normalize`. Throws as NormalizeRow.
  const Array<float, 2>& Rows();

 private:
  // Values of all pictures in some directions: base − Σ w c. Empty: not made yet.
  struct Sums {
    Matrix values;                // [B, C] or [B, E]
    std::vector<double> weights;  // w of the components (heads by layer, INPUT, MLP 0 …)
  };
  // Updates the sums to weights_.
  void Bring(Sums& sums, bool rows);
  void Add(Sums& sums, bool rows, std::span<const Index> components);
  std::vector<Index> BestOf(const Matrix& scores, const Vector& constant) const;

  const Store& store_;
  int threads_;
  Matrix classifier_;                      // [C, E]
  std::vector<Index> first_;               // [shards]: the number of a shard's first picture
  Array<float, 2> ln_;                     // [B, 3]
  std::vector<std::vector<float>> means_;  // of components, then of whole layers; empty: no picture
  Matrix base_scores_;                     // [B, C]
  std::vector<Index> base_answers_;
  // The edit.
  std::vector<double> weights_;
  Vector constant_;  // [E]
  Sums scores_, rows_;
  std::vector<Index> answers_;  // empty: not of this edit
  Array<float, 2> unit_rows_;
  bool rows_are_made_ = false;
};

}  // namespace cliplens
