#include "cliplens/analysis/label_scores.h"

#include <algorithm>
#include <map>

#include "cliplens/base/error.h"

namespace cliplens {

LabelScores ScoreLabels(const std::vector<HeadLabel>& labels, const PropertyTable& table,
                        const std::vector<TextSpanResult>& spans, const TextPool& pool) {
  constexpr std::size_t kTexts = 5;
  if (labels.size() != spans.size()) {
    throw Error(ErrorCode::kInvalidArgument, "label scores: {} labels, texts of {} heads",
                labels.size(), spans.size());
  }
  LabelScores scores;
  scores.heads = static_cast<Index>(labels.size());
  scores.association.assign(kTexts + 1, 0.0);
  scores.consistency.assign(kTexts + 1, 0.0);
  std::map<Index, Index> labelled_with;
  std::map<Index, Index> fully_consistent;
  for (std::size_t h = 0; h < labels.size(); ++h) {
    const Index label = labels[h].label;
    std::size_t consistent = 0;
    if (label >= 0) {
      ++scores.labelled;
      ++labelled_with[label];
      const std::size_t count = std::min(kTexts, spans[h].texts.size());
      for (std::size_t t = 0; t < count; ++t) {
        const auto& property = At(pool.properties, spans[h].texts[t].index);
        if (property && *property == At(table.names, label)) ++consistent;
      }
    }
    if (consistent == kTexts) ++fully_consistent[label];
    scores.consistency[consistent] += 1;
    for (std::size_t k = 0; k <= consistent; ++k) scores.association[k] += 1;
  }
  const auto heads = static_cast<double>(std::max<Index>(1, scores.heads));
  for (double& share : scores.consistency) share /= heads;
  for (double& share : scores.association) share /= heads;
  scores.properties = static_cast<Index>(labelled_with.size());
  if (scores.properties > 0) {
    scores.entanglement =
        static_cast<double>(scores.labelled) / static_cast<double>(scores.properties);
    scores.entanglement_by_heads = scores.entanglement / heads;
  }
  double repeated = 0;
  double full = 0;
  for (const auto& [label, count] : fully_consistent) {
    if (count > 1) repeated += 1;
    full += static_cast<double>(count);
  }
  if (full > 0) scores.repetition = repeated / full;
  return scores;
}

}  // namespace cliplens
