// Pictures among files: their endings, and the listing of a folder. Paths are texts as NameText()
// writes them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/io/picture_format.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {

inline constexpr Index kMaxPictureBytes = Index{1} << 30;

std::string_view BaseName(std::string_view path);
// What follows the last dot of the file's name, in lower case; empty without one.
std::string LastEnding(std::string_view path);

// "tar.gz", "tgz" and the like: what a packed tar archive ends in, in lower case; empty for others.
std::string_view PackedTarEnding(std::string_view lower_name);
// The command that unpacks such a file, "gunzip -k shard.tgz".
std::string UnpackCommand(std::string_view name);

// The file that `path`, a text, stands for.
std::filesystem::path FileIn(const std::filesystem::path& folder, std::string_view path);

// Whether the file begins as a picture does. False for what cannot be read.
bool BeginsAsPicture(const std::filesystem::path& file);
// The same for `size` bytes of an open file.
bool BeginsAsPicture(const RandomAccessFile& file, Index offset, Index size);

// Throws Error(kInvalidArgument) unless 0 <= i < size.
void CheckPictureIndex(Index i, Index size, const std::string& root);

// Paths relative to the root, with '/' between the parts, sorted byte by byte; tables by folder
// first, so that a folder's table comes before those of the folders in it.
struct Listing {
  std::vector<std::string> pictures;
  std::vector<std::string> tars;
  std::vector<std::string> tables;  // metadata.csv, metadata.jsonl, metadata.parquet
  std::string packed_tar;           // the first packed tar archive, if there is one
  LeftOut left_out;                 // the other files
};

// The files in a folder and below it. Hidden files are left out; those that are pictures by their
// ending are counted. Each folder is listed once, so that a loop of links ends. Real folders come
// before links to folders, so that files are listed under the path of their own folder. Throws as
// ThrowFileError.
Listing ListPictures(const std::filesystem::path& root);

}  // namespace cliplens
