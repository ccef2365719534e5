// A store of neurons: what single neurons do to the embeddings of a set of pictures.
//
//   const NeuronStore store = NeuronStore::Open("nstore/");
//   const NeuronDirections& d = store.directions(/*layer=*/9);
//   const Array<float, 3> alpha = store.ReadAlpha(9, /*first=*/2914, /*count=*/1);  // [1, n, J]
//
// Files as those of a store (cliplens/decompose/store.h), with other tensors; docs/neurons.md
// describes each. Every checksum and size is checked before use.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/neurons/neuron_files.h"

namespace cliplens {

class NeuronStore {
 public:
  // Throws as ReadManifest, and Error(kCorruptData) for files that do not match the manifest.
  static NeuronStore Open(const std::filesystem::path& directory);

  const std::filesystem::path& directory() const { return directory_; }
  const StoreInfo& info() const { return info_; }
  LayerRange layers() const { return info_.neurons->layers; }
  Index pictures() const { return info_.images; }
  const std::vector<NeuronPaths>& AllPaths() const { return paths_; }  // of each layer
  // Throw Error(kInvalidArgument) for a layer that is not in the store.
  const NeuronPaths& paths(Index layer) const { return At(paths_, NumberOf(layer)); }
  // Also throws Error(kPrecondition) for a store of one part of a set, which has none.
  const NeuronDirections& directions(Index layer) const;
  const EmbeddingMoments& embedding() const { return statistics_.embedding; }

  // Throws Error(kPrecondition) for a store with statistics only.
  void RequireFactors() const;
  // All pictures' coefficients of one layer. Throws Error(kPrecondition) for a store with
  // statistics only.
  NeuronFactors FactorsOf(Index layer) const;
  // The same of the pictures of shards [begin, end).
  Index num_shards() const { return static_cast<Index>(shards_.size()); }
  Index ShardPictures(Index shard) const { return At(shards_, shard).images; }
  NeuronFactors FactorsOf(Index layer, Index begin, Index end) const;
  Array<float, 2> ReadEmbeddings(Index begin, Index end) const;  // [pictures, E] unit rows
  // α [count, pictures, J] of neurons [first, first + count).
  Array<float, 3> ReadAlpha(Index layer, Index first, Index count) const;
  Array<float, 2> ReadShared(Index layer) const;  // [pictures, 2J+2Q+1]
  Array<float, 2> ReadEmbeddings() const;         // [pictures, E] unit rows
  // Of all pictures; with statistics only, of those that NeuronDirections::top_pictures names.
  std::vector<Item> ReadItems() const;

 private:
  Index NumberOf(Index layer) const;

  std::filesystem::path directory_;
  StoreInfo info_;
  std::vector<NeuronPaths> paths_;
  NeuronStatistics statistics_;
  std::vector<ShardInfo> shards_;
  struct Files;
  std::shared_ptr<Files> files_;
};

// Heads of a layer, as the manifest in `directory` says.
Index HeadsOf(const StoreInfo& info, const std::filesystem::path& directory);

// The coefficients of one layer that lie in some shards, one behind the other.
struct NeuronShard {
  std::filesystem::path file;
  Index pictures = 0;
  std::string checksum;  // checked when the shard is opened
};
// What they say of all pictures together; `progress` counts neurons. Throws as DirectionsOf.
NeuronStatistics StatisticsOfShards(std::span<const NeuronShard> shards,
                                    std::span<const NeuronPaths> paths, Index top, int threads,
                                    const ProgressSink& progress);

}  // namespace cliplens
