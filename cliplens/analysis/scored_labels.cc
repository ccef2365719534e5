#include "cliplens/analysis/scored_labels.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
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
  CheckLabelsOf(where, store.info().images, labels, classes);
}

void CheckLabelsOf(std::string_view where, Index pictures, std::span<const Index> labels,
                   Index classes) {
  if (static_cast<Index>(labels.size()) != pictures) {
    throw Error(ErrorCode::kInvalidArgument, "{}: {} labels for {} pictures", where, labels.size(),
                pictures);
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
    : sums_(ToSize(figures), std::vector<double>(ToSize(blocks), 0.0)),
      counted_(ToSize(blocks), 0.0) {}

void BlockSums::Add(std::string_view path, std::span<const double> values) {
  const auto block = ToSize(SliceOf(path, static_cast<Index>(counted_.size())));
  counted_[block] += 1;
  ++pictures_;
  for (std::size_t f = 0; f < sums_.size(); ++f) sums_[f][block] += values[f];
}

BlockSums SumOverPictures(const Store& store, std::span<const Index> labels,
                          const PictureSumOptions& options, const FillFigures& fill) {
  const Index figures = options.figures;
  BlockSums sums(figures, options.blocks);
  Index first = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const FactorBlock block = store.ReadShard(s);
    const std::vector<Item> items = store.ReadItems(s);
    const Index images = block.images();
    const std::span<const Index> of_shard = labels.subspan(ToSize(first), ToSize(images));
    std::vector<double> values(ToSize(images * figures), 0.0);
    ParallelFor(options.threads, (images + options.chunk - 1) / options.chunk,
                [&](Index task, int) {
                  const Index begin = task * options.chunk;
                  const Index count = std::min(options.chunk, images - begin);
                  fill(block, begin, of_shard.subspan(ToSize(begin), ToSize(count)),
                       values.data() + begin * figures);
                });
    for (Index b = 0; b < images; ++b) {
      if (At(of_shard, b) < 0) continue;
      sums.Add(At(items, b).path, {values.data() + b * figures, ToSize(figures)});
    }
    first += images;
    if (options.progress) options.progress(first, store.info().images);
  }
  return sums;
}

}  // namespace cliplens
