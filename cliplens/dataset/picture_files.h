// Pictures among files: their endings, and the listing of a folder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/picture_format.h"

namespace cliplens {

inline constexpr Index kMaxPictureBytes = Index{1} << 30;

std::string LowerAscii(std::string_view text);
std::string_view BaseName(std::string_view path);
// What follows the last dot of the file's name, in lower case; empty without one.
std::string LastEnding(std::string_view path);

// Throws Error(kInvalidArgument) unless 0 <= i < size.
void CheckPictureIndex(Index i, Index size, const std::string& root);

// Paths relative to the root, with '/' between the parts, sorted byte by byte.
struct Listing {
  std::vector<std::string> pictures;
  std::vector<std::string> tars;
  Index others = 0;
};

// The files in a folder and below it. Hidden files are skipped. Each folder is listed once, so that
// a loop of links ends. Real folders come before links to folders, so that files are listed under
// the path of their own folder. Throws as ThrowFileError.
Listing ListPictures(const std::filesystem::path& root);

}  // namespace cliplens
