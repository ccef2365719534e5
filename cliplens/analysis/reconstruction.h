// The accuracy of a model whose heads keep only what their texts span.
//
//   const ReconstructionResult r = Reconstruct(store, texts, classifier, labels, {});
//   for (const ReconstructionRow& row : r.rows) Print(row.count, row.accuracy.value);
#pragma once

#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct ReconstructionOptions {
  std::vector<Index> counts = {5, 10, 20, 60};  // texts of each head
  Index layers = 4;                             // the number of last layers that are reconstructed
  Index rank = 0;                               // TextSpanOptions::rank
  int threads = 0;
  ProgressSink progress = {};  // pictures
};

struct ReconstructionRow {
  Index count = 0;
  // Earlier attention layers replaced by their means, MLPs and INPUT as they are (the paper's
  // code).
  Estimate accuracy;
  // Everything but the reconstructed heads replaced by its mean.
  Estimate accuracy_alone;
  Index distinct_texts = 0;  // distinct ones, over all heads
  double explained = 0;      // share of the heads' variance, all together, that their texts span
};

struct ReconstructionResult {
  Index images = 0;                     // pictures with a label among the classes
  Index heads = 0;                      // reconstructed
  ReconstructionRow nothing;            // the heads replaced by their means
  std::vector<ReconstructionRow> rows;  // in the order of `counts`
  ReconstructionRow whole;              // the heads as they are
};

// Each head of the last layers is replaced by its mean and the projection of the rest on the span
// of its first `count` texts by TextSpan. Paper: "Interpreting CLIP's Image Representation via
// Text-Based Decomposition" (arXiv 2310.05916), section 4.2.
//   texts: unit rows [M, E]; classifier: unit rows [C, E]; labels: one a picture, −1 for none
// Throws Error(kInvalidArgument) where shapes do not fit, no picture has a label, or counts are not
// ascending from 1; Error(kPrecondition) on fewer than two pictures; as Store::ReadShard does.
ReconstructionResult Reconstruct(const Store& store, ArrayView<const float, 2> texts,
                                 ArrayView<const float, 2> classifier,
                                 std::span<const Index> labels,
                                 const ReconstructionOptions& options);

}  // namespace cliplens
