// The font that is built in: DejaVu Sans, from Debian's fonts-dejavu-core (cmake/EmbedFont.cmake).
//
//   Print(FontFile().size());
#pragma once

#include <string_view>

namespace cliplens {

std::string_view FontFile();  // a TrueType file

}  // namespace cliplens
