#include "cliplens/decompose/store_checks.h"

#include <algorithm>

#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;

void StoreChecks::CheckNames() {
  std::set<std::string> known = {kManifestFile, kStatisticsFile, kBasisFile};
  for (const ShardInfo& shard : manifest_.shards) known.insert({shard.file, shard.items_file});
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (!IsStoreFile(name) || known.contains(name)) continue;
    problems_.push_back(
        {ErrorCode::kCorruptData, name,
         fmt::format("{}: is not in the manifest; remove it", entry.path().string())});
  }
  if (error) {
    problems_.push_back({ErrorCode::kPrecondition, "",
                         fmt::format("{}: cannot be listed: {}; check the permissions",
                                     directory_.string(), error.message())});
  }
}

void StoreChecks::CheckCounts() {
  const StoreInfo& info = manifest_.info;
  std::vector<Index> images(info.data.size(), 0);
  std::vector<std::set<Index>> ranges(info.data.size());
  for (const ShardInfo& shard : manifest_.shards) {
    Check(kManifestFile, [&] {
      const auto at = ToSize(shard.source);
      const DataSource& source = info.data[at];
      images[at] += shard.images;
      if (shard.images < 1 || shard.images > source.shard_images ||
          shard.range >= source.ranges() || !ranges[at].insert(shard.range).second) {
        Fail(kManifestFile, "'{}' has {} pictures of range {}, the set has {} ranges of {}",
             shard.file, shard.images, shard.range, source.ranges(), source.shard_images);
      }
    });
  }
  std::vector<Index> skipped(info.data.size(), 0);
  for (const SkippedItem& item : info.skipped) ++At(skipped, item.source);
  for (std::size_t d = 0; d < info.data.size(); ++d) {
    Check(kManifestFile, [&] {
      const DataSource& source = info.data[d];
      if (!info.stats_only && images[d] != source.images) {
        Fail(kManifestFile, "{} pictures of {}, the shards have {}", source.images, source.root,
             images[d]);
      }
      Index wanted = source.set_images;
      if (info.part) {
        wanted = std::min(info.part->end(source.ranges()) * source.shard_images, wanted) -
                 info.part->first(source.ranges()) * source.shard_images;
      }
      if (source.images + skipped[d] != wanted) {
        Fail(kManifestFile, "{} pictures of {} and {} that were skipped do not make {}",
             source.images, source.root, skipped[d], wanted);
      }
    });
  }
}

std::vector<Item> StoreChecks::CheckItems(const ShardInfo& shard) {
  std::vector<Item> items;
  Check(shard.items_file, [&] {
    std::vector<Item> read =
        ReadItemsFile(directory_ / shard.items_file, shard.images, shard.items_checksum);
    for (const Item& item : read) {
      if (!paths_[shard.source].insert(item.path).second) {
        Fail(shard.items_file, "'{}' is in the store twice", Printable(item.path));
      }
    }
    items = std::move(read);
  });
  return items;
}

void StoreChecks::FailModel(const std::string& what) const {
  throw Error(ErrorCode::kInvalidArgument,
              "{}: {}; name the model that made the store, or make it again", directory_.string(),
              what);
}

void StoreChecks::CompareModel(const ClipModel& model) const {
  const StoreInfo& info = manifest_.info;
  if (model.fingerprint() != info.fingerprint) {
    FailModel(fmt::format("made by model {} with fingerprint {}, {} has {}", info.model_name,
                          info.fingerprint, model.path().string(), model.fingerprint()));
  }
  const std::string difference = JsonDifference(info.model_config, ToJson(model.config()));
  if (!difference.empty()) {
    FailModel(fmt::format("the configuration of its model differs from that of {}: {}",
                          model.path().string(), difference));
  }
}

}  // namespace cliplens
