// Maps of classes on a model's patches, by the decomposition and by the methods it is compared
// with.
//
//   const ClassMaps maps(model, classifier, MapMethod::kDecomposition, /*heads=*/{}, threads);
//   model.EmbedImages({&pixels, 1}, row, workspace, maps.captures(), {&captures, 1});
//   const Array<double, 2> grid = maps.MapOf(captures, maps.Answers(row).front());
#pragma once

#include <optional>
#include <vector>

#include "cliplens/analysis/token_scores.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// The method that gives a map. All but the first are controls; the rest of the protocol is the
// same.
enum class MapMethod {
  kDecomposition,  // contributions of the patches through the chosen heads
  kRawAttention,   // the class token's attention in the last layer, mean over heads
  kRollout,        // "Quantifying Attention Flow in Transformers" (arXiv 2005.00928): the product
                   // of (A_l + 1)/2 over the layers, A_l the mean over heads, its class row
  kPatchText,      // unit embeddings of the last layer's patch tokens · (w_ĉ − w̄)
  kBackground,     // no object anywhere
};
const char* NameOf(MapMethod method);  // "decomposition", "raw-attention", …

class ClassMaps {
 public:
  // classifier: unit rows [C, E]; with one row alone nothing is subtracted. `heads` (all when
  // empty) counts for kDecomposition. Throws as TokenWeights.
  ClassMaps(const ClipModel& model, ArrayView<const float, 2> classifier, MapMethod method,
            std::vector<HeadId> heads, int threads);

  // The captures that the map needs.
  CaptureRequest captures() const;
  // For each embedding [B, E] the class whose text is nearest; ties go to the lower one.
  std::vector<Index> Answers(ArrayView<const float, 2> embeddings) const;
  // The map [g, g] of class c.
  Array<double, 2> MapOf(const Captures& captures, Index c) const;

 private:
  const ClipModel& model_;
  Array<float, 2> classifier_;
  Array<float, 2> directions_;  // w_c − w̄
  MapMethod method_;
  std::vector<HeadId> heads_;
  std::optional<TokenWeights> weights_;  // of the directions
};

}  // namespace cliplens
