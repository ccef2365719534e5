// Mean ablation: the accuracy that is lost when parts of the model are replaced by their means.
//
//   const AblationResult r = Ablate(store, store.statistics(), classifier, labels, {});
//   for (const AblationRow& row : r.rows) Print(row.name, row.accuracy.value);
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct AblationOptions {
  int threads = 0;
  ProgressSink progress = {};  // pictures
};

// A representation in which some components are replaced by their means.
struct AblationRow {
  std::string name;
  Estimate accuracy;  // share of pictures whose best class is their label; ties to the lower class
  Estimate score;     // mean of the right class's score, a cosine
};

// One component alone replaced by its mean.
struct ComponentAblation {
  std::string component;  // "L11.H3", "INPUT", "L11.MLP"
  Estimate accuracy_lost;
  // Mean loss of the right class's score: ⟨c − mean c, w⟩ for the right class's w. If the means are
  // those of the same pictures, this is the part of the component that differs between pictures.
  Estimate score_lost;
};

struct AblationResult {
  Index images = 0;  // pictures with a label among the classes; only these count
  // "base", "mlps", "cls_attn", "mlps+cls_attn". INPUT counts among the MLPs, as in the paper's
  // code; "cls_attn" is the class token's attention to itself in all layers, and the rows with it
  // are left out for a model without that token. POOL.MLP is a function of the whole and none of
  // the MLPs: a model with one has "pool_mlp" and "mlps+pool_mlp" as well.
  std::vector<AblationRow> rows;
  // [L+1]: the attention of the first k layers replaced, all else kept.
  std::vector<AblationRow> cumulative;
  // [L+1]: only the attention of the last k layers kept; all other attention, MLPs, INPUT and
  // POOL.MLP replaced.
  std::vector<AblationRow> last_only;
  std::vector<ComponentAblation> components;  // by the numbers of Components
};

// Scores are products of the classifier with sums of contributions, which are not normalised again.
// Paper: "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv
// 2310.05916), section 3.2; rows and curve as its code computes them, the last two are ours.
//   means: the means that replace components, of this store or of another one of the same model
//   classifier: unit rows [C, E]; labels: one for each picture of the store, −1 for none
// Throws Error(kInvalidArgument) where shapes or numbers of pictures differ or no picture has a
// label, Error(kPrecondition) for a store or means without pictures, and as Store::ReadShard does.
// The same to the byte for any number of threads.
AblationResult Ablate(const Store& store, const Statistics& means,
                      ArrayView<const float, 2> classifier, std::span<const Index> labels,
                      const AblationOptions& options);

}  // namespace cliplens
