// One store out of several.
//
//   const std::vector<std::filesystem::path> parts = {"part-0", "part-1"};
//   MergeStores(parts, "store");
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "cliplens/decompose/manifest.h"

namespace cliplens {

// Stores that become one, in the order in which one run over their sets would have written them.
struct MergeInput {
  std::filesystem::path directory;
  Manifest manifest;
  Index first_set = 0;  // of the merged store's sets
};
struct MergePlan {
  std::vector<MergeInput> inputs;
  StoreInfo info;  // of the merged store
};
// What MergeStores checks, for stores of either kind; throws as it does.
MergePlan PlanMerge(std::span<const std::filesystem::path> inputs, StoreKind kind);

// Merges stores of the same model (docs/design.md, "Statistics"). Parts of one set give the store
// that one run would have made, byte for byte, in any order. Error(kInvalidArgument) names a part
// that is missing or given twice, two stores whose models, slices or types differ, and a picture
// that is in two of them.
void MergeStores(std::span<const std::filesystem::path> inputs,
                 const std::filesystem::path& output);

// Adds up the statistics of other pictures in each file, into one file. Throws as
// StatisticsSums::Read and Merge.
void MergeStatistics(std::span<const std::filesystem::path> files,
                     const std::filesystem::path& output);

// The manifest of the store that MergeStores would make of all parts of one set, for files that lie
// elsewhere. Of each part its manifest is read; `statistics` is the file of all pictures.
struct AssembledStore {
  std::string manifest;
  std::vector<Index> ranges;  // [shards]: the part whose shard it is
};
AssembledStore AssembleStore(std::span<const std::filesystem::path> parts,
                             const std::filesystem::path& statistics);

}  // namespace cliplens
