#include "cliplens/io/stand_in.h"

#include <cstdint>
#include <span>

#include "cliplens/base/error.h"
#include "cliplens/io/picture_format.h"

namespace cliplens {

void RefuseStandIn(std::string_view content, const std::string& name) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  const std::string_view what = NameOfOtherFile(bytes);
  if (what == "a Git LFS pointer") {
    throw Error(ErrorCode::kCorruptData,
                "{}: is a Git LFS pointer, not the file; run `git lfs pull`", name);
  }
  if (what == "a web page (HTML)") {
    throw Error(ErrorCode::kCorruptData,
                "{}: is a web page (HTML), not the file; fetch the file from its own address",
                name);
  }
}

}  // namespace cliplens
