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
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/io/json.h"
#include "cliplens/io/partial_directory.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

inline constexpr Index kStoreFormatVersion = 1;
inline constexpr Index kShardImages = 1024;

enum class StoreType { kF32, kF16 };

struct CertificateSummary {
  double max = 0;  // of ‖Σc − e‖ / ‖e‖ over the images
  double mean = 0;
};

// A set of pictures that went in.
struct DataSource {
  std::string kind;  // ImageSet::kind
  std::string root;  // absolute path
  Index images = 0;
  friend bool operator==(const DataSource&, const DataSource&) = default;
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
  CertificateSummary certificate;
};

struct ShardInfo {
  Index source = 0;  // in StoreInfo::data
  std::string file;
  std::string items_file;
  Index images = 0;
  std::string checksum;
  std::string items_checksum;
};

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
  const ShardInfo& shard(Index s) const { return shards_[static_cast<std::size_t>(s)]; }

  // One shard's factors as fp32. Error(kPrecondition) for a store with
  // statistics only; the message says what to do.
  FactorBlock ReadShard(Index s) const;
  // z of one head for all images [images, K], and ln [images, 3]. A shard's checksum is checked at
  // its first use by any of these.
  Array<float, 2> ReadHead(HeadId id) const;
  Array<float, 2> ReadLn() const;
  Array<float, 2> ReadEmbeddings() const;  // [images, E]
  std::vector<Item> ReadItems() const;

 private:
  std::filesystem::path directory_;
  StoreInfo info_;
  Basis basis_;
  Statistics statistics_;
  std::vector<ShardInfo> shards_;

  // Opens a shard, its checksum checked the first time. Thread-safe.
  SafetensorsFile OpenShard(Index s) const;
  Array<float, 2> ReadRows(const char* name, Index width) const;
  struct Checked;
  std::shared_ptr<Checked> checked_;
};

// Writes a store; see PartialDirectory for what stands on disk meanwhile.
class StoreWriter {
 public:
  StoreWriter(const std::filesystem::path& directory, const Basis& basis, StoreInfo info);

  // Pictures of source 0 of `info`. Not for a store with statistics only.
  void AddShard(const FactorBlock& block, std::span<const Item> items);
  // A shard of another store, as it is: its bytes are checked and copied.
  void CopyShard(const Store& store, Index shard, Index source);
  void Finish(const Statistics& statistics, const CertificateSummary& certificate);

 private:
  PartialDirectory directory_;
  StoreInfo info_;
  std::vector<ShardInfo> shards_;
  std::string basis_checksum_;
};

// One store out of several of the same model (DESIGN §2.3). Error(kInvalidArgument) names the two
// stores whose models, slices or types differ, or a picture that is in two of them.
void MergeStores(std::span<const std::filesystem::path> inputs,
                 const std::filesystem::path& output);

// P1's arrays as float32 .npy files: attn.npy [B, L, H, E], mlp.npy [B, L+1, E],
// cls_attn.npy [B, L, E], embedding.npy [B, E]; items.jsonl beside them.
void ExportNpy(const Store& store, const std::filesystem::path& directory);

}  // namespace cliplens
