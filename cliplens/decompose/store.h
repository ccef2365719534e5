// The store: a directory with the factors of a set of pictures.
//
//   const Store store = Store::Open("store/");
//   for (Index s = 0; s < store.num_shards(); ++s) Use(store.ReadShard(s));
//   const Moments m = store.statistics().HeadMoments({11, 3});
//
// Files: manifest.json, items-*.jsonl, shard-*.safetensors, stats.safetensors, basis.safetensors.
// docs/store.md describes each. Every checksum and size is checked before use.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

// Whether the directory has a store's manifest.
bool IsStore(const std::filesystem::path& directory);

class Store {
 public:
  // Throws Error: kNotFound for a missing directory or manifest, kCorruptData for files that do not
  // match the manifest, kUnsupported for another format version.
  static Store Open(const std::filesystem::path& directory);

  const std::filesystem::path& directory() const { return directory_; }
  const StoreInfo& info() const { return info_; }
  const Basis& basis() const { return basis_; }
  const Statistics& statistics() const { return statistics_; }
  Index num_shards() const { return static_cast<Index>(shards_.size()); }
  const ShardInfo& shard(Index s) const { return At(shards_, s); }

  // One shard's factors as fp32. Throws Error(kPrecondition) for a store with statistics only; the
  // message says what to do.
  FactorBlock ReadShard(Index s) const;
  // z of one head for all images [images, K], and ln [images, 3]. A shard's checksum is checked
  // when it is first read.
  Array<float, 2> ReadHead(HeadId id) const;
  Array<float, 2> ReadLn() const;
  // Factors u [images, K+3] of one head.
  Matrix ReadFactors(HeadId id) const { return FactorsOf(basis_.layout(), ReadHead(id), ReadLn()); }
  Array<float, 2> ReadEmbeddings() const;  // [images, E]
  // The same of one shard's images.
  Array<float, 2> ReadHead(HeadId id, Index shard) const;
  Array<float, 2> ReadLn(Index shard) const;
  Array<float, 2> ReadEmbeddings(Index shard) const;
  // The same of the pictures with these numbers, in their order; only the shards that have any are
  // read, one after the other.
  Array<float, 2> ReadHead(HeadId id, std::span<const Index> pictures) const;
  Array<float, 2> ReadLn(std::span<const Index> pictures) const;
  Array<float, 2> ReadEmbeddings(std::span<const Index> pictures) const;
  std::vector<Item> ReadItems(std::span<const Index> pictures) const;
  // Contributions [images, E] of INPUT (j = 0), of MLP j − 1 or of POOL.MLP (j = L + 1) of one
  // shard's images.
  Array<float, 2> ReadMlp(Index j, Index shard) const;
  std::vector<Item> ReadItems() const;
  std::vector<Item> ReadItems(Index shard) const;
  // The sums that the statistics are computed from.
  StatisticsSums ReadSums() const;

 private:
  std::filesystem::path directory_;
  StoreInfo info_;
  Basis basis_;
  Statistics statistics_;
  std::vector<ShardInfo> shards_;

  // Opens a shard, its checksum checked the first time. Thread-safe.
  SafetensorsFile OpenShard(Index s) const;
  std::vector<float> ReadRows(const char* name, Index width, Index shard) const;
  // [images, width]: `read` of every shard, one below the other.
  Array<float, 2> AllShards(Index width,
                            const std::function<std::vector<float>(Index shard)>& read) const;
  Array<float, 2> RowsOf(std::span<const Index> pictures, Index width,
                         const std::function<std::vector<float>(Index shard)>& read) const;
  std::vector<Moments> MomentsOf(HeadId id) const;  // by slice, from the factors
  std::vector<float> ReadHeadOfShard(HeadId id, Index shard) const;
  // Part `part` [images, width] of a tensor [..., images, width] whose other axes are `outer`.
  std::vector<float> ReadPart(const char* name, std::vector<Index> outer, Index width, Index part,
                              Index shard) const;
  struct Checked;
  std::shared_ptr<Checked> checked_;
};

// Calls `use` for each shard that has any of `pictures`, which are numbers in the store in any
// order. `first` is the number of the shard's first picture; `places` are indices into `pictures`,
// in the order of the numbers.
using UseShard = std::function<void(Index shard, Index first, std::span<const Index> places)>;
void ForShardsWith(const Store& store, std::span<const Index> pictures, const UseShard& use);

}  // namespace cliplens
