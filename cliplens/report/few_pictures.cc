#include "cliplens/report/few_pictures.h"

#include <fmt/format.h>

namespace cliplens {

std::string FewPicturesLine(Index images, Index enough, std::string_view what) {
  if (images >= enough) return "";
  return fmt::format("only {} picture{}: {}; {} or more would do (docs/pictures.md)\n", images,
                     images == 1 ? "" : "s", what, enough);
}

}  // namespace cliplens
