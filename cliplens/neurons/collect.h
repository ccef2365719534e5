// Collects what single neurons do to the embeddings of a set of pictures into a store of neurons,
// with one forward pass a picture for all layers.
//
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   const CollectResult result = CollectNeurons(
//       model, *set, {.out = "nstore/", .layers = {8, 11}, .threads = 4});
//   Print(result.pictures, result.top);
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// A shard is written, or made again, at once; its coefficients are held in memory.
inline constexpr Index kNeuronShardImages = 128;
// Pictures that a neuron's direction is made of (the paper's number).
inline constexpr Index kTopPictures = 100;

struct CollectOptions {
  std::filesystem::path out;
  LayerRange layers;  // as ParseNeuronLayers gives them
  // Pictures of largest effect for a neuron's direction; kTopPictures when not given, or a tenth of
  // the pictures where that is less, but two at least.
  std::optional<Index> top = {};
  Index shard_images = kNeuronShardImages;
  std::optional<StorePart> part = {};  // of the set; all of it otherwise
  bool resume = false;                 // goes on with what an interrupted run left
  // Keeps statistics only: the store's size, and the memory, do not grow with the pictures. Each
  // picture is encoded twice, a run that was cut off begins anew, also with `resume`, and parts
  // cannot be made.
  bool stats_only = false;
  OnError on_error = OnError::kStop;
  int threads = 0;
  // The sink of a stage: "collect" (pictures) and "directions" (neurons); may be empty.
  std::function<ProgressSink(const char* stage)> progress = {};
};

struct CollectResult {
  Index pictures = 0;
  Index shards = 0;
  Index top = 0;
  Index resumed_ranges = 0;       // that an interrupted run had done
  bool complete_already = false;  // the store was there and is of the same run
  std::vector<SkippedPicture> skipped = {};
  std::vector<SkippedPicture> incomplete = {};  // were read, and lack attributes
  Index oriented = 0;                           // PictureErrors::oriented of what this run read
};

// The store's bytes depend on the model, the pictures, layers, top and shard_images, never on
// threads, on parts (once merged) or on interruptions. After an error the finished shards stay in
// `OUT.partial` for a run with `resume`, and the message says so. Throws as StoreWriter, a
// picture's own error with OnError::kStop or when no picture can be read, and
// Error(kInvalidArgument) for a `top` above the number of pictures, and for parts with stats_only.
CollectResult CollectNeurons(const ClipModel& model, const ImageSet& set,
                             const CollectOptions& options);

// The same of the text tower's neurons and the texts of a pool, which was read from `file`. An
// item's path is the number of the text's line and the text; its attribute is the property.
// `truncate` cuts texts longer than the context. Throws as CollectNeurons and
// ClipModel::TokenizeTexts.
CollectResult CollectNeuronsOfTexts(const ClipModel& model, const TextPool& pool,
                                    const std::filesystem::path& file, bool truncate,
                                    const CollectOptions& options);

// Merges stores of neurons of one model, as MergeStores does: parts of a set give the store that
// one run would have made, byte for byte. `progress` counts neurons.
void MergeNeuronStores(std::span<const std::filesystem::path> inputs,
                       const std::filesystem::path& output, int threads,
                       const ProgressSink& progress);

}  // namespace cliplens
