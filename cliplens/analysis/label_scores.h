// Scores of a labelling: how the labels of a model's heads fit together and with the heads' texts.
//
//   const LabelScores scores = ScoreLabels(labels, table, spans, pool);
//   Print(scores.labelled, scores.entanglement);
#pragma once

#include <vector>

#include "cliplens/analysis/head_labels.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/base/array.h"
#include "cliplens/dataset/text_pool.h"

namespace cliplens {

// The scores of one model's heads.
struct LabelScores {
  Index heads = 0;
  Index labelled = 0;
  Index properties = 0;  // that at least one head is labelled with
  // Mean number of labelled heads that carry the same label; 0 without labels. It grows with the
  // number of heads, so `entanglement_by_heads` divides by it.
  double entanglement = 0;
  double entanglement_by_heads = 0;
  // Share of all heads with at least k of their first five TextSpan texts of the label's property,
  // k = 0 … 5, and with exactly k.
  std::vector<double> association;  // [6]
  std::vector<double> consistency;  // [6]
  // Of the heads whose first five texts are all consistent: the number of labels that more than one
  // of them carries, divided by the number of these heads.
  double repetition = 0;
};

// Entanglement and association after "Quantifying and Enabling the Interpretability of CLIP-like
// Models" (arXiv 2409.06579). The definition of consistency is ours and needs no judge: a text is
// consistent with a label if its property in the pool has the label's name.
//   spans: TextSpan of each head with at least five texts, on `pool`
LabelScores ScoreLabels(const std::vector<HeadLabel>& labels, const PropertyTable& table,
                        const std::vector<TextSpanResult>& spans, const TextPool& pool);

}  // namespace cliplens
