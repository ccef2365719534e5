// One store out of several.
//
//   const std::vector<std::filesystem::path> parts = {"part-0", "part-1"};
//   MergeStores(parts, "store");
#pragma once

#include <filesystem>
#include <span>

namespace cliplens {

// Merges stores of the same model (docs/design.md, "Statistics"). Parts of one set give the store
// that one run would have made, byte for byte, in any order. Error(kInvalidArgument) names a part
// that is missing or given twice, two stores whose models, slices or types differ, and a picture
// that is in two of them.
void MergeStores(std::span<const std::filesystem::path> inputs,
                 const std::filesystem::path& output);

}  // namespace cliplens
