#include "cliplens/neurons/neuron_store.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/manifest.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

// Shards one behind the other. They are opened for each reading, so that no number of them is too
// large.
struct ShardSequence {
  std::vector<NeuronShard> shards;
  Index total = 0;

  // Checks every shard's checksum.
  explicit ShardSequence(std::span<const NeuronShard> of) : shards(of.begin(), of.end()) {
    for (const NeuronShard& shard : shards) {
      CheckHash(shard.file, shard.checksum);
      total += shard.pictures;
    }
  }

  // Some of them, which were checked already.
  std::shared_ptr<const ShardSequence> Part(Index begin, Index end) const {
    auto part = std::make_shared<ShardSequence>(std::span<const NeuronShard>());
    part->shards.assign(shards.begin() + begin, shards.begin() + end);
    for (const NeuronShard& shard : part->shards) part->total += shard.pictures;
    return part;
  }

  Array<float, 2> Rows(const std::string& name, Index width) const {
    Array<float, 2> out({total, width});
    float* to = out.data();
    for (const NeuronShard& shard : shards) {
      const std::vector<float> values =
          NeuronFile(shard.file).Floats(name, {shard.pictures, width});
      to = std::ranges::copy(values, to).out;
    }
    return out;
  }

  Array<float, 3> Alpha(const NeuronPaths& paths, Index first, Index count) const {
    const Index channels = paths.channels();
    Array<float, 3> out({count, total, channels});
    Index before = 0;
    for (const NeuronShard& shard : shards) {
      const Index size = shard.pictures * channels;
      const std::vector<float> values =
          NeuronFile(shard.file)
              .Floats(AlphaName(paths.layer()), {paths.neurons(), shard.pictures, channels},
                      first * size, count * size);
      for (Index n = 0; n < count; ++n) {
        std::copy_n(values.data() + n * size, size, out.view()[n].row(before).data());
      }
      before += shard.pictures;
    }
    return out;
  }
};

NeuronFactors FactorsIn(std::shared_ptr<const ShardSequence> shards, const NeuronPaths& paths) {
  return {.pictures = shards->total,
          .shared = shards->Rows(SharedName(paths.layer()), paths.shared().rows()),
          .alpha = [shards = std::move(shards), &paths](Index first, Index count) {
            return shards->Alpha(paths, first, count);
          }};
}

}  // namespace

struct NeuronStore::Files {
  const std::shared_ptr<const ShardSequence>& Of(const NeuronStore& store);

  std::once_flag once;
  std::shared_ptr<const ShardSequence> shards;
};

Index HeadsOf(const StoreInfo& info, const fs::path& directory) {
  const std::string name = (directory / kManifestFile).string();
  const char* const tower = info.neurons && info.neurons->text ? "text" : "vision";
  return JsonField<std::int64_t>(JsonField<Json>(info.model_config, tower, name), "heads", name);
}

NeuronStatistics StatisticsOfShards(std::span<const NeuronShard> shards,
                                    std::span<const NeuronPaths> paths, Index top, int threads,
                                    const ProgressSink& progress) {
  const auto sequence = std::make_shared<const ShardSequence>(shards);
  Index neurons = 0;
  for (const NeuronPaths& p : paths) neurons += p.neurons();
  ProgressCount count(progress, neurons);
  NeuronStatistics statistics;
  statistics.embedding =
      MomentsOfEmbeddings(sequence->Rows("embedding", paths.front().embed_width()));
  for (const NeuronPaths& p : paths) {
    statistics.layers.push_back(DirectionsOf(p, FactorsIn(sequence, p), top, threads, count));
  }
  return statistics;
}

NeuronStore NeuronStore::Open(const fs::path& directory) {
  Manifest manifest = ReadManifest(directory, StoreKind::kNeurons);
  NeuronStore store;
  store.directory_ = directory;
  store.info_ = std::move(manifest.info);
  store.shards_ = std::move(manifest.shards);
  store.files_ = std::make_shared<Files>();
  CheckHash(directory / kBasisFile, manifest.basis_checksum);
  store.paths_ =
      ReadNeuronBasis(directory / kBasisFile, store.layers(), HeadsOf(store.info_, directory));
  CheckHash(directory / kStatisticsFile, manifest.statistics_checksum);
  if (store.info_.part) return store;  // it has none
  store.statistics_ =
      ReadNeuronStatistics(directory / kStatisticsFile, store.paths_, store.info_.images);
  return store;
}

const NeuronDirections& NeuronStore::directions(Index layer) const {
  const Index number = NumberOf(layer);
  if (info_.part) {
    throw Error(ErrorCode::kPrecondition,
                "{}: is part {} of {} of a set, which has no directions of its own; make the whole "
                "with: cliplens merge",
                directory_.string(), info_.part->index, info_.part->parts);
  }
  return At(statistics_.layers, number);
}

Index NeuronStore::NumberOf(Index layer) const {
  if (layers().contains(layer)) return layer - layers().begin;
  throw Error(ErrorCode::kInvalidArgument, "{}: no layer {}; it has neurons of layers {} to {}",
              directory_.string(), layer, layers().begin, layers().end - 1);
}

const std::shared_ptr<const ShardSequence>& NeuronStore::Files::Of(const NeuronStore& store) {
  std::call_once(once, [&] {
    store.RequireFactors();
    std::vector<NeuronShard> named;
    for (const ShardInfo& shard : store.shards_) {
      named.push_back({store.directory_ / shard.file, shard.images, shard.checksum});
    }
    shards = std::make_shared<const ShardSequence>(named);
  });
  return shards;
}

void NeuronStore::RequireFactors() const {
  if (!info_.stats_only) return;
  throw Error(ErrorCode::kPrecondition,
              "{}: has statistics only; collect without --stats-only for what neurons do on single "
              "pictures",
              directory_.string());
}

NeuronFactors NeuronStore::FactorsOf(Index layer) const {
  return FactorsIn(files_->Of(*this), paths(layer));
}

NeuronFactors NeuronStore::FactorsOf(Index layer, Index begin, Index end) const {
  return FactorsIn(files_->Of(*this)->Part(begin, end), paths(layer));
}

Array<float, 2> NeuronStore::ReadEmbeddings(Index begin, Index end) const {
  return files_->Of(*this)->Part(begin, end)->Rows("embedding", paths_.front().embed_width());
}

Array<float, 3> NeuronStore::ReadAlpha(Index layer, Index first, Index count) const {
  return files_->Of(*this)->Alpha(paths(layer), first, count);
}

Array<float, 2> NeuronStore::ReadShared(Index layer) const {
  return files_->Of(*this)->Rows(SharedName(layer), paths(layer).shared().rows());
}

Array<float, 2> NeuronStore::ReadEmbeddings() const {
  return files_->Of(*this)->Rows("embedding", paths_.front().embed_width());
}

std::vector<Item> NeuronStore::ReadItems() const {
  if (info_.stats_only) return statistics_.items;
  std::vector<Item> items;
  for (const ShardInfo& shard : shards_) {
    std::vector<Item> some =
        ReadItemsFile(directory_ / shard.items_file, shard.images, shard.items_checksum);
    std::ranges::move(some, std::back_inserter(items));
  }
  return items;
}

}  // namespace cliplens
