#include "cliplens/decompose/store.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/memory_set.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace fs = std::filesystem;

DataSource DescribeSet(const ImageSet& set, Index shard_images) {
  DataSource source;
  source.kind = set.kind();
  const std::string root = set.root();
  source.root =
      NameText(IsMemoryRoot(root) || IsAddress(root) ? root : fs::weakly_canonical(root).native());
  source.split = set.split();
  source.path_column = set.path_column();
  source.allow_absolute = set.allow_absolute();
  source.left_out = set.left_out();
  source.exif_orientation = set.size() > 0 && set.exif_orientation(0);
  source.set_images = set.size();
  source.shard_images = shard_images;
  source.set_checksum = set.paths_checksum();
  return source;
}

struct Store::Checked {
  std::mutex mutex;
  std::vector<bool> shards;
};

bool IsStore(const std::filesystem::path& directory) { return Exists(directory / kManifestFile); }

Store Store::Open(const fs::path& directory) {
  Manifest manifest = ReadManifest(directory);
  Store store;
  store.directory_ = directory;
  store.info_ = std::move(manifest.info);
  store.shards_ = std::move(manifest.shards);
  store.checked_ = std::make_shared<Checked>();
  store.checked_->shards.resize(store.shards_.size());
  const StoreInfo& info = store.info_;
  CheckHash(directory / kBasisFile, manifest.basis_checksum);
  store.basis_ = ReadBasis(directory / kBasisFile, info.factor_constants);
  CheckHash(directory / kStatisticsFile, manifest.statistics_checksum);
  StatisticsSums sums = store.ReadSums();
  const Basis& b = store.basis_;
  if (sums.components() != b.components() || info.level != b.components().level() ||
      sums.factor_width() != b.factor_width() || sums.embed_width() != b.embed_width() ||
      sums.has_traces() != b.is_identity() || sums.images() != info.images ||
      sums.slices() != info.slices) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} and {} do not belong together or to its {} pictures; decompose again",
                (directory / kManifestFile).string(), kBasisFile, kStatisticsFile, info.images);
  }
  try {
    store.statistics_ = Statistics(sums, b);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, "{}: {}", (directory / kStatisticsFile).string(),
                error.what());
  }
  if (b.is_identity()) {
    const auto reader = std::make_shared<const Store>(store);
    store.statistics_.UseFactors([reader](HeadId id) { return reader->MomentsOf(id); });
  }
  return store;
}

std::vector<Moments> Store::MomentsOf(HeadId id) const {
  std::vector<std::vector<Index>> of_slice(ToSize(info_.slices));
  const Matrix factors = ReadFactors(id);
  const std::vector<Item> items = ReadItems();
  for (std::size_t i = 0; i < items.size(); ++i) {
    At(of_slice, SliceOf(items[i].path, info_.slices)).push_back(static_cast<Index>(i));
  }
  std::vector<Moments> moments;
  moments.reserve(of_slice.size());
  for (const std::vector<Index>& pictures : of_slice) {
    Matrix rows(static_cast<Index>(pictures.size()), factors.cols());
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      rows.row(static_cast<Index>(i)) = factors.row(pictures[i]);
    }
    moments.emplace_back(factors.cols());
    moments.back().Add(rows);
  }
  return moments;
}

StatisticsSums Store::ReadSums() const {
  return StatisticsSums::Read(directory_ / kStatisticsFile);
}

SafetensorsFile Store::OpenShard(Index s) const {
  const fs::path path = directory_ / shard(s).file;
  const std::lock_guard lock(checked_->mutex);
  if (!At(checked_->shards, s)) {
    CheckHash(path, shard(s).checksum);
    At(checked_->shards, s) = true;
  }
  return SafetensorsFile(path);
}

namespace {

void NeedFactors(const StoreInfo& info, const fs::path& directory) {
  if (info.stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: this store has statistics only, this needs the pictures' factors; decompose "
                "without --stats-only",
                directory.string());
  }
}

}  // namespace

FactorBlock Store::ReadShard(Index s) const {
  NeedFactors(info_, directory_);
  return ReadShardFile(OpenShard(s), basis_, shard(s).images);
}

std::vector<float> Store::ReadPart(const char* name, std::vector<Index> outer, Index width,
                                   Index part, Index s) const {
  NeedFactors(info_, directory_);
  const SafetensorsFile file = OpenShard(s);  // a part of it is one contiguous read
  const TensorEntry& entry = file.at(name);
  const Index images = shard(s).images;
  std::vector<Index> expected = std::move(outer);
  expected.insert(expected.end(), {images, width});
  if (entry.shape != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, the manifest asks for {}; decompose again",
                file.path().string(), name, ShapeText(entry.shape), ShapeText(expected));
  }
  return file.ReadAsFloat(entry, part * images * width, images * width);
}

std::vector<float> Store::ReadHeadOfShard(HeadId id, Index s) const {
  return ReadPart("head_z", {basis_.layers(), basis_.num_heads()}, basis_.head_width(),
                  basis_.components().NumberOf(id), s);
}

std::vector<float> Store::ReadRows(const char* name, Index width, Index s) const {
  return ReadPart(name, {}, width, 0, s);
}

Array<float, 2> Store::AllShards(Index width,
                                 const std::function<std::vector<float>(Index shard)>& read) const {
  NeedFactors(info_, directory_);
  std::vector<float> all;  // grows by what the shards hold, not by what the manifest claims
  for (Index s = 0; s < num_shards(); ++s) {
    const std::vector<float> part = read(s);
    all.insert(all.end(), part.begin(), part.end());
  }
  return {{info_.images, width}, std::move(all)};
}

Array<float, 2> Store::ReadHead(HeadId id) const {
  return AllShards(basis_.head_width(), [&](Index s) { return ReadHeadOfShard(id, s); });
}

Array<float, 2> Store::ReadLn() const {
  return AllShards(3, [&](Index s) { return ReadRows("ln", 3, s); });
}

Array<float, 2> Store::ReadEmbeddings() const {
  const Index width = basis_.embed_width();
  return AllShards(width, [&](Index s) { return ReadRows("embedding", width, s); });
}

Array<float, 2> Store::ReadHead(HeadId id, Index s) const {
  return {{shard(s).images, basis_.head_width()}, ReadHeadOfShard(id, s)};
}

Array<float, 2> Store::ReadLn(Index s) const {
  return {{shard(s).images, 3}, ReadRows("ln", 3, s)};
}

Array<float, 2> Store::ReadEmbeddings(Index s) const {
  const Index width = basis_.embed_width();
  return {{shard(s).images, width}, ReadRows("embedding", width, s)};
}

Array<float, 2> Store::RowsOf(std::span<const Index> pictures, Index width,
                              const std::function<std::vector<float>(Index shard)>& read) const {
  NeedFactors(info_, directory_);
  Array<float, 2> rows({std::ssize(pictures), width});
  ForShardsWith(*this, pictures, [&](Index s, Index first, std::span<const Index> places) {
    const Array<float, 2> all({shard(s).images, width}, read(s));
    for (const Index place : places) {
      std::ranges::copy(all.row(At(pictures, place) - first), rows.row(place).data());
    }
  });
  return rows;
}

Array<float, 2> Store::ReadHead(HeadId id, std::span<const Index> pictures) const {
  return RowsOf(pictures, basis_.head_width(), [&](Index s) { return ReadHeadOfShard(id, s); });
}

Array<float, 2> Store::ReadLn(std::span<const Index> pictures) const {
  return RowsOf(pictures, 3, [&](Index s) { return ReadRows("ln", 3, s); });
}

Array<float, 2> Store::ReadEmbeddings(std::span<const Index> pictures) const {
  const Index width = basis_.embed_width();
  return RowsOf(pictures, width, [&](Index s) { return ReadRows("embedding", width, s); });
}

std::vector<Item> Store::ReadItems(std::span<const Index> pictures) const {
  NeedFactors(info_, directory_);
  std::vector<Item> items(pictures.size());
  ForShardsWith(*this, pictures, [&](Index s, Index first, std::span<const Index> places) {
    const std::vector<Item> all = ReadItems(s);
    for (const Index place : places) {
      items[ToSize(place)] = At(all, At(pictures, place) - first);
    }
  });
  return items;
}

Array<float, 2> Store::ReadMlp(Index j, Index s) const {
  const Index width = basis_.embed_width();
  return {{shard(s).images, width},
          ReadPart("mlp", {basis_.components().num_residual()}, width, j, s)};
}

std::vector<Item> Store::ReadItems() const {
  NeedFactors(info_, directory_);
  std::vector<Item> items;
  for (Index s = 0; s < num_shards(); ++s) {
    std::vector<Item> more = ReadItems(s);
    std::ranges::move(more, std::back_inserter(items));
  }
  return items;
}

std::vector<Item> Store::ReadItems(Index s) const {
  return ReadItemsFile(directory_ / shard(s).items_file, shard(s).images, shard(s).items_checksum);
}

void ForShardsWith(const Store& store, std::span<const Index> pictures, const UseShard& use) {
  std::vector<Index> order(pictures.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::sort(order, {}, [&](Index i) { return At(pictures, i); });
  auto next = order.begin();
  Index first = 0;
  for (Index s = 0; s < store.num_shards() && next != order.end(); ++s) {
    const Index end = first + store.shard(s).images;
    const auto begin = next;
    while (next != order.end() && At(pictures, *next) < end) ++next;
    if (next != begin) use(s, first, std::span(begin, next));
    first = end;
  }
}

}  // namespace cliplens
