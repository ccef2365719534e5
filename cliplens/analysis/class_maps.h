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
#include "cliplens/neurons/neuron_id.h"
#include "cliplens/neurons/neuron_store.h"

namespace cliplens {

// The method that gives a map. All but the first are controls; the rest of the protocol is the
// same.
enum class MapMethod {
  kDecomposition,  // contributions of the patches through the chosen heads
  kRawAttention,   // the pooled row's attention in the last layer, mean over heads
  kRollout,        // "Quantifying Attention Flow in Transformers" (arXiv 2005.00928): the product
                   // of (A_l + 1)/2 over the layers, A_l the mean over heads, its class row
  kPatchText,      // unit embeddings of the last layer's patch tokens · (w_ĉ − w̄)
  kNeurons,        // the mean activation of the neurons whose directions are most along w_ĉ, of
                   // either sign (arXiv 2406.04341, section 4.3)
  kNeuronEffects,  // what neurons of some layers bring to the class through later heads, by patch:
                   // Σ_n ⟨φ_n, w_ĉ − w̄⟩ without its constants, exact and signed
  kBackground,     // no object anywhere
};
const char* NameOf(MapMethod method);  // "decomposition", "raw-attention", …

// Of kNeurons and kNeuronEffects.
struct NeuronMaps {
  const NeuronStore* store = nullptr;  // of the model; kNeurons needs its directions
  LayerRange layers = {};              // empty: all that the store has
  Index top = 200;                     // neurons that kNeurons takes
};

class ClassMaps {
 public:
  // classifier: unit rows [C, E]; with one row alone nothing is subtracted. `heads` (all when
  // empty) counts for kDecomposition. The store of `neurons` may be closed afterwards. Throws as
  // TokenWeights and NeuronPaths; Error(kInvalidArgument) for a store of another model, or without
  // layers.
  ClassMaps(const ClipModel& model, ArrayView<const float, 2> classifier, MapMethod method,
            std::vector<HeadId> heads, int threads, const NeuronMaps& neurons = {});

  MapMethod method() const { return method_; }
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
  std::optional<TokenWeights> weights_;          // of the directions
  LayerRange layers_;                            // of neurons
  std::vector<NeuronPaths> paths_;               // of kNeuronEffects
  std::vector<std::vector<NeuronId>> of_class_;  // of kNeurons: the neurons of each class
};

}  // namespace cliplens
