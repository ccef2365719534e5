// Accuracy when the second-order effects of a layer's neurons are replaced by their means, whole or
// in part, or by what lies along one direction of each.
//
//   const NeuronStore store = NeuronStore::Open("nstore/");
//   const NeuronAblation a = AblateNeurons(store, store, /*layer=*/9, classifier, labels, {}, {});
//   for (const AblationRow& row : a.rows) Print(row.name, row.accuracy.value);
//
// "Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341), section 3.2 and
// figures 3 and 4. With e the unit embedding and φ̃_n an effect less its mean, the rows are
//     base                  e
//     neurons               e − Σ_n φ̃_n
//     significant           e − Σ_{n: |φ̃_n| > τ_n} φ̃_n
//     insignificant         e − Σ_{n: |φ̃_n| ≤ τ_n} φ̃_n
//     direction             e − Σ_n φ̃_n + Σ_n ⟨φ̃_n, r_n⟩ r_n
// where means, r_n and τ_n (the k-th largest |φ̃_n|) are those of a store that need not be of the
// same pictures. Scores are not normalised again.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/analysis/ablation.h"
#include "cliplens/neurons/neuron_store.h"

namespace cliplens {

// A direction for each neuron that stands for it, beside its own: ⟨φ̃_n, s_n⟩ s_n.
struct NeuronReplacement {
  std::string name;
  Array<float, 2> directions;  // [F, E], s_n as it is: not made unit
};

struct NeuronAblation {
  Index layer = 0;
  Index images = 0;               // pictures with a label among the classes
  std::vector<AblationRow> rows;  // the five, then one for each replacement
  Estimate significant;           // share of neurons with a significant effect on a picture
};

struct NeuronAblationOptions {
  int threads = 0;
  ProgressSink progress = {};  // pictures
};

//   directions: the store whose means, directions and thresholds are used
//   classifier: unit rows [C, E]; labels: one for each picture of the store, −1 for none
// Throws Error(kInvalidArgument) for stores of other models or without the layer, for shapes or
// numbers of pictures that differ, and where no picture has a label; Error(kPrecondition) for a
// store with statistics only. The same to the byte for any number of threads.
NeuronAblation AblateNeurons(const NeuronStore& store, const NeuronStore& directions, Index layer,
                             ArrayView<const float, 2> classifier, std::span<const Index> labels,
                             std::span<const NeuronReplacement> replacements,
                             const NeuronAblationOptions& options);

}  // namespace cliplens
