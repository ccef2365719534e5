// What lies where a file should be and is not the file: the pointer that Git LFS leaves, or the
// page that a server sent instead.
//
//   RefuseStandIn("version https://git-lfs.github.com/spec/v1\n", "spiece.model");  // throws
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

// Throws Error(kCorruptData), which says how to get the file itself, for such a content. `name` is
// the file's.
void RefuseStandIn(std::string_view content, const std::string& name);

}  // namespace cliplens
