// Letters of ASCII, in any locale.
//
//   LowerAscii("Photo.JPG");  // "photo.jpg"
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

inline std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace cliplens
