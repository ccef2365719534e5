#include "cliplens/analysis/scored_labels.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/decompose/statistics.h"

namespace cliplens {

void CheckLabels(std::string_view where, const Store& store, std::span<const Index> labels,
                 Index classes) {
  if (store.info().stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: {} has statistics only, this needs the pictures' factors; decompose without "
                "--stats-only",
                where, store.directory().string());
  }
  if (static_cast<Index>(labels.size()) != store.info().images) {
    throw Error(ErrorCode::kInvalidArgument, "{}: {} labels for {} pictures", where, labels.size(),
                store.info().images);
  }
  if (std::ranges::any_of(labels, [&](Index c) { return c < -1 || c >= classes; })) {
    throw Error(ErrorCode::kInvalidArgument, "{}: a label is outside of the {} classes", where,
                classes);
  }
  if (std::ranges::all_of(labels, [](Index c) { return c < 0; })) {
    throw Error(ErrorCode::kInvalidArgument, "{}: no picture has a label among the classes", where);
  }
}

Index BestClass(const Matrix& scores, Index row) {
  Index best = 0;
  for (Index c = 1; c < scores.cols(); ++c) {
    if (scores(row, c) > scores(row, best)) best = c;
  }
  return best;
}

BlockSums::BlockSums(Index figures, Index blocks)
    : sums_(static_cast<std::size_t>(figures),
            std::vector<double>(static_cast<std::size_t>(blocks), 0.0)),
      counted_(static_cast<std::size_t>(blocks), 0.0) {}

void BlockSums::Add(std::string_view path, std::span<const double> values) {
  const auto block = static_cast<std::size_t>(SliceOf(path, static_cast<Index>(counted_.size())));
  counted_[block] += 1;
  ++pictures_;
  for (std::size_t f = 0; f < sums_.size(); ++f) sums_[f][block] += values[f];
}

}  // namespace cliplens
