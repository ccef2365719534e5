// One store out of several.
#pragma once

#include <filesystem>
#include <span>

namespace cliplens {

// One store out of several of the same model (docs/design.md, "Statistics"). Parts of one set give
// the store that one run would have made, byte for byte, in whatever order they are named.
// Error(kInvalidArgument) names a part that is missing or given twice, two stores whose models,
// slices or types differ, and a picture that is in two of them.
void MergeStores(std::span<const std::filesystem::path> inputs,
                 const std::filesystem::path& output);

}  // namespace cliplens
