// What a store records of itself: its model, its pictures, its shards.
//
//   Print(store.info().model_name, store.info().images, store.info().certificate.max);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/io/json.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/config.h"

namespace cliplens {

inline constexpr Index kStoreFormatVersion = 3;
inline constexpr Index kShardImages = 1024;

enum class StoreType { kF32, kF16 };
// What a store holds: factors of heads and MLPs, or what single neurons do (cliplens/neurons).
enum class StoreKind { kFactors, kNeurons };

// How far contributions may be from adding up to the embedding, as a part of its length. Far more
// than rounding to the store's numbers leaves: beyond it the numbers are not of this embedding.
constexpr double CertificateBound(StoreType type) { return type == StoreType::kF16 ? 1e-2 : 1e-4; }

struct CertificateSummary {
  double max = 0;  // of ‖Σc − e‖ / ‖e‖ over the images
  double mean = 0;
};

// A set of pictures in the store. It is split into ranges of `shard_images` pictures. The pictures
// of a range that could be read are one shard; a range without such pictures has none.
struct DataSource {
  std::string kind;              // ImageSet::kind
  std::string root;              // absolute path, as NameText writes it
  std::string split;             // ImageSet::split; not in the manifest when empty
  std::string path_column = {};  // ImageSet::path_column, likewise
  bool allow_absolute = false;
  bool exif_orientation = false;  // ImageSet::exif_orientation, likewise
  Index images = 0;               // in this store
  Index set_images = 0;           // in the set
  std::string set_checksum;       // of the set's paths
  Index shard_images = kShardImages;
  LeftOut left_out = {};  // without notes
  Index ranges() const { return (set_images + shard_images - 1) / shard_images; }
};

// One of `parts` stores that a set was split into; `index` counts from 0.
struct StorePart {
  Index index = 0;
  Index parts = 1;
  // The ranges of a set that are this part's: [first(ranges), end(ranges)).
  Index first(Index ranges) const { return index * ranges / parts; }
  Index end(Index ranges) const { return (index + 1) * ranges / parts; }
};

// A picture that is not in the store because it could not be read.
struct SkippedItem {
  Index source = 0;  // in StoreInfo::data
  SkippedPicture picture;
};

// What a store of neurons is of.
struct NeuronRun {
  LayerRange layers;  // whose MLPs' neurons
  Index top = 0;      // pictures of largest effect that a neuron's direction is made of
  bool text = false;  // of the text tower, and of texts instead of pictures
};

// The manifest without the list of files.
struct StoreInfo {
  std::string model_name;
  std::string model_path;          // absolute: a directory or a file
  std::string model_architecture;  // as named with --arch; empty if none was
  std::string model_weights;       // as named with --weights
  PictureChoice model_pictures;    // as asked for with --image-size and --resize-backend
  std::string fingerprint;
  Json model_config;
  std::string precision = "fp32";
  StoreType type = StoreType::kF32;
  Index factor_constants = FactorLayout{}.constants;  // FactorLayout::constants
  Level level = Level::kBlocks;  // whose heads it holds: the blocks' or the pool's
  bool stats_only = false;
  Index images = 0;
  Index slices = kDefaultSlices;
  std::vector<DataSource> data;
  std::optional<StorePart> part;
  std::vector<SkippedItem> skipped;
  CertificateSummary certificate;
  std::optional<NeuronRun> neurons;  // of StoreKind::kNeurons

  // Whether the image tower has a class token.
  bool has_class_token() const;
  // Whether the embedding is made of that token's row alone.
  bool pools_class_token() const;
  StoreKind kind() const { return neurons ? StoreKind::kNeurons : StoreKind::kFactors; }
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

// Throws Error(kInvalidArgument) that names the first setting in which two runs differ, with both
// values: `wanted` is what is asked for, `found` what is in `place`.
void CheckSameRun(const StoreInfo& wanted, const StoreInfo& found, const std::string& place);

}  // namespace cliplens
