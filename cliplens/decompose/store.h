// The store: a directory with the factors of a set of pictures.
//
//   const Store store = Store::Open("store/");
//   for (Index s = 0; s < store.num_shards(); ++s) Use(store.ReadShard(s));
//   const Moments m = store.statistics().HeadMoments({11, 3});
//
// Files (DESIGN §4): manifest.json, items-*.jsonl, shard-*.safetensors, stats.safetensors,
// basis.safetensors. docs/store.md describes each. Every checksum and size is checked before use.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/io/json.h"
#include "cliplens/io/partial_directory.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

inline constexpr Index kStoreFormatVersion = 2;
inline constexpr Index kShardImages = 1024;

enum class StoreType { kF32, kF16 };

struct CertificateSummary {
  double max = 0;  // of ‖Σc − e‖ / ‖e‖ over the images
  double mean = 0;
};

// A set of pictures that went in. Its pictures are split into ranges of `shard_images`; what could
// be read of range r is one shard, or none if nothing could.
struct DataSource {
  std::string kind;          // ImageSet::kind
  std::string root;          // absolute path
  std::string split;         // ImageSet::split; not in the manifest when empty
  Index images = 0;          // in this store
  Index set_images = 0;      // in the set
  std::string set_checksum;  // of the set's paths
  Index shard_images = kShardImages;
  Index ranges() const { return (set_images + shard_images - 1) / shard_images; }
};

// One of `of` stores that a set was split into; `index` counts from 0.
struct StorePart {
  Index index = 0;
  Index of = 1;
  // The ranges of a set that are this part's: [first(ranges), end(ranges)).
  Index first(Index ranges) const { return index * ranges / of; }
  Index end(Index ranges) const { return (index + 1) * ranges / of; }
};

// A picture that is not in the store because it could not be read.
struct SkippedItem {
  Index source = 0;  // in StoreInfo::data
  SkippedPicture picture;
};

// What the manifest says, beside the list of files.
struct StoreInfo {
  std::string model_name;
  std::string model_path;          // absolute: a directory or a file
  std::string model_architecture;  // as named with --arch; empty if none was
  std::string fingerprint;
  Json model_config;
  std::string precision = "fp32";
  StoreType type = StoreType::kF32;
  bool stats_only = false;
  Index images = 0;
  Index slices = kDefaultSlices;
  std::vector<DataSource> data;
  std::optional<StorePart> part;
  std::vector<SkippedItem> skipped;
  CertificateSummary certificate;
};

struct ShardInfo {
  Index source = 0;  // in StoreInfo::data
  Index range = 0;   // of that set
  std::string file;
  std::string items_file;
  Index images = 0;
  std::string checksum;
  std::string items_checksum;
};

// The set's entry of a manifest: what is in it and how it is split.
DataSource DescribeSet(const ImageSet& set, Index shard_images);

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

  // One shard's factors as fp32. Error(kPrecondition) for a store with
  // statistics only; the message says what to do.
  FactorBlock ReadShard(Index s) const;
  // z of one head for all images [images, K], and ln [images, 3]. A shard's checksum is checked at
  // its first use by any of these.
  Array<float, 2> ReadHead(HeadId id) const;
  Array<float, 2> ReadLn() const;
  Array<float, 2> ReadEmbeddings() const;  // [images, E]
  // The same of one shard's images.
  Array<float, 2> ReadHead(HeadId id, Index shard) const;
  Array<float, 2> ReadLn(Index shard) const;
  Array<float, 2> ReadEmbeddings(Index shard) const;
  // Contributions [images, E] of INPUT (j = 0) or of MLP j − 1 of one shard's images.
  Array<float, 2> ReadMlp(Index j, Index shard) const;
  std::vector<Item> ReadItems() const;
  std::vector<Item> ReadItems(Index shard) const;
  // The sums that the statistics are made of.
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
  std::vector<float> ReadHeadOfShard(HeadId id, Index shard) const;
  // Part `part` [images, width] of a tensor [..., images, width] whose other axes are `outer`.
  std::vector<float> ReadPart(const char* name, std::vector<Index> outer, Index width, Index part,
                              Index shard) const;
  struct Checked;
  std::shared_ptr<Checked> checked_;
};

// Writes a store into `DIRECTORY.partial` (see PartialDirectory), which becomes `DIRECTORY` at the
// end. After each range of pictures a record of what is done is written, from which another writer
// goes on; the store is the same to the byte. What a record names is checked before it is trusted.
class StoreWriter {
 public:
  // A range that is done.
  struct Range {
    std::optional<ShardInfo> shard;  // nothing where no picture could be read, or with stats_only
    std::vector<SkippedPicture> skipped;
  };

  // With kResume a partial store is gone on with. Throws Error(kInvalidArgument) naming what
  // differs when it is of another run, and as PartialDirectory does.
  StoreWriter(const std::filesystem::path& directory, const Basis& basis, StoreInfo info,
              PartialDirectory::Mode mode);

  // What an interrupted run had done, by range. Whether the files of a shard are whole is for the
  // caller to ask: IsWhole reads and checks them.
  const std::map<Index, Range>& done() const { return done_; }
  bool IsWhole(const ShardInfo& shard) const;
  FactorBlock ReadShard(const ShardInfo& shard, const Basis& basis) const;
  std::vector<Item> ReadItems(const ShardInfo& shard) const;
  // The sums up to the last range, with stats_only; nothing if their file is damaged.
  std::optional<StatisticsSums> ReadCheckpoint() const;
  // Nothing of what was done is worth keeping: the partial store goes with this object.
  void Drop() { directory_.DropOnFailure(); }
  // Forgets what was done: with stats_only, when the sums are gone.
  void Restart();

  // A range's pictures; none of them if all were skipped. A range that was done before is written
  // again, and Error(kPrecondition) says so if other pictures could be read then.
  void AddRange(Index range, const FactorBlock& block, std::span<const Item> items,
                std::vector<SkippedPicture> skipped);
  // The same with stats_only: `sums` are those of all ranges so far.
  void AddRange(Index range, const StatisticsSums& sums, std::vector<SkippedPicture> skipped);
  // The store is done. `sums` are those of all its pictures.
  void Finish(const StatisticsSums& sums);

  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  void WriteProgress();

  PartialDirectory directory_;
  StoreInfo info_;
  std::string basis_checksum_;
  std::map<Index, Range> done_;
  std::string checkpoint_file_;
  std::string checkpoint_checksum_;
};

// Error(kInvalidArgument) naming the first setting in which two runs differ, by both values:
// `wanted` is what is asked for, `found` what is in `place`.
void CheckSameRun(const StoreInfo& wanted, const StoreInfo& found, const std::string& place);

// One store out of several of the same model (DESIGN §2.3). Parts of one set give the store that
// one run would have made, byte for byte, in whatever order they are named. Error(kInvalidArgument)
// names a part that is missing or given twice, two stores whose models, slices or types differ, and
// a picture that is in two of them.
void MergeStores(std::span<const std::filesystem::path> inputs,
                 const std::filesystem::path& output);

}  // namespace cliplens
