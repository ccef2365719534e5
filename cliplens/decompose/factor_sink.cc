#include "cliplens/decompose/factor_sink.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/manifest.h"

namespace cliplens {

std::vector<Index> SlicesOf(const std::vector<Item>& items, Index slices) {
  std::vector<Index> out;
  out.reserve(items.size());
  for (const Item& item : items) out.push_back(SliceOf(item.path, slices));
  return out;
}

StatisticsSums SumsOf(const FactorRange& range, const Basis& basis, Index slices, int threads) {
  StatisticsSums sums(basis.sizes(), slices);
  sums.Add(range.block, SlicesOf(range.items, slices), basis, threads);
  return sums;
}

namespace {

std::optional<StatisticsSums> ReadCheckpoint(const StoreWriter& writer) {
  const std::optional<std::filesystem::path> file = writer.Checkpoint();
  try {
    if (file) return StatisticsSums::Read(*file);
  } catch (const Error&) {
    return std::nullopt;
  }
  return std::nullopt;
}

StoreWriter::WriteFile WriterOf(const StatisticsSums& sums) {
  return [&sums](const std::filesystem::path& file) { return sums.Write(file); };
}

}  // namespace

FactorSink::FactorSink(const std::filesystem::path& directory, Basis basis, StoreInfo info,
                       PartialDirectory::Mode mode, const std::string& next_step)
    : basis_(std::move(basis)),
      info_(std::move(info)),
      writer_(directory, info_, mode, next_step,
              [this](const std::filesystem::path& file) { WriteBasis(file, basis_); }),
      sums_(basis_.sizes(), info_.slices) {
  const DataSource& source = info_.data.front();
  const StorePart part = info_.part.value_or(StorePart{});
  first_ = next_ = part.first(source.ranges());
  end_ = part.end(source.ranges());
  if (!info_.stats_only || writer_.done().empty()) return;
  // The sums stand for all ranges up to the last that is recorded.
  if (std::optional<StatisticsSums> sums = ReadCheckpoint(writer_)) {
    sums_ = std::move(*sums);
    next_ = writer_.done().rbegin()->first + 1;
    resumed_ranges_ = next_ - first_;
  } else {
    writer_.Restart();
  }
}

Index FactorSink::ImagesOf(Index range) const {
  const DataSource& source = info_.data.front();
  return std::min(source.shard_images, source.set_images - range * source.shard_images);
}

std::optional<FactorRange> FactorSink::Stored(Index number) {
  const auto found = writer_.done().find(number);
  if (found == writer_.done().end()) return std::nullopt;
  const std::optional<ShardInfo>& shard = found->second.shard;
  if (shard && !writer_.IsWhole(*shard)) return std::nullopt;
  FactorRange range{.range = number, .stored = true};
  range.block = shard ? ReadShardFile(writer_.OpenShard(*shard), basis_, shard->images)
                      : MakeBlock(basis_.sizes(), 0);
  if (shard) range.items = writer_.ReadItems(*shard);
  ++resumed_ranges_;
  return range;
}

void FactorSink::Add(FactorRange range, int threads) {
  Adding adding(*this, std::move(range));
  const int workers = ResolveThreads(threads);
  ParallelFor(workers, workers, [&](Index, int) { adding.Run(); });
}

void FactorSink::Add(const FactorRange& range, const StatisticsSums& sums) {
  sums_.Merge(sums);
  if (info_.stats_only) {
    writer_.AddRange(range.range, WriterOf(sums_), range.skipped);
  } else {
    writer_.AddRange(range.range, TensorsOf(range.block, info_.type).tensors, range.items,
                     range.skipped);
  }
}

void FactorSink::AddStore(const std::filesystem::path& store, const Manifest& manifest,
                          Index first_set) {
  of_stores_ = true;
  CheckHash(store / kStatisticsFile, manifest.statistics_checksum);
  sums_.Merge(StatisticsSums::Read(store / kStatisticsFile));
  for (ShardInfo shard : manifest.shards) {
    shard.source += first_set;
    writer_.CopyShard(store, std::move(shard));
  }
}

FactorSink::Adding::Adding(FactorSink& sink, FactorRange range)
    : sink_(sink),
      range_(std::move(range)),
      slices_(SlicesOf(range_.items, sink.info_.slices)),
      summation_(sink.sums_, range_.block, slices_, sink.basis_),
      tasks_(summation_.tasks() + 1),
      left_(tasks_) {
  for (const Item& item : range_.items) {
    if (!item.problem.empty()) sink.incomplete_.push_back({-1, item.path, item.problem});
  }
}

// The first task writes the shard; the thread that ends the last one records the range where there
// are sums alone.
void FactorSink::Adding::Run() {
  const bool stats_only = sink_.info_.stats_only;
  const bool writes = !range_.stored;
  for (Index task = next_.fetch_add(1); task < tasks_; task = next_.fetch_add(1)) {
    if (task > 0) {
      summation_.Run(task - 1);
    } else if (writes && !stats_only) {
      sink_.writer_.AddRange(range_.range, TensorsOf(range_.block, sink_.info_.type).tensors,
                             range_.items, range_.skipped);
    }
    if (left_.fetch_sub(1) == 1 && writes && stats_only) {
      sink_.writer_.AddRange(range_.range, WriterOf(sink_.sums_), range_.skipped);
    }
  }
}

SinkSummary FactorSink::Finish() {
  // A store without pictures is useless, but merging needs every part, even an empty one.
  if (sums_.images() > 0 || info_.part || of_stores_) {
    writer_.Finish(sums_.images(), {sums_.certificate_max(), sums_.certificate_mean()},
                   WriterOf(sums_));
  } else {
    writer_.Drop();
  }
  SinkSummary summary;
  summary.images = sums_.images();
  for (const auto& [number, range] : writer_.done()) {
    if (range.shard) ++summary.shards;
    summary.skipped.insert(summary.skipped.end(), range.skipped.begin(), range.skipped.end());
  }
  summary.incomplete = std::move(incomplete_);
  summary.resumed_ranges = resumed_ranges_;
  summary.certificate = {sums_.certificate_max(), sums_.certificate_mean()};
  return summary;
}

}  // namespace cliplens
