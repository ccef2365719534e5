#include "cliplens/dataset/image_set.h"

#include <array>
#include <system_error>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// Data sets that are published as a folder of a certain layout.
struct PublishedSet {
  bool (*is)(const std::filesystem::path& root);
  std::unique_ptr<ImageSet> (*open)(const std::filesystem::path& root, const std::string& split);
};
constexpr std::array<PublishedSet, 5> kPublishedSets = {{{IsWaterbirds, OpenWaterbirds},
                                                         {IsCub, OpenCub},
                                                         {IsCifar, OpenCifar},
                                                         {IsPascal, OpenPascal},
                                                         {IsImagenet, OpenImagenet}}};

std::unique_ptr<ImageSet> OpenFile(const std::filesystem::path& path, const std::string& split) {
  const std::string base = path.filename().string();
  const std::string ending = LastEnding(base);
  if (ending == "csv" || ending == "tsv") return OpenTable(path, split);
  const std::filesystem::path folder = path.parent_path();
  if (ending == "tar") return OpenWebDataset(path, folder, {base});
  if (ending == "gz") return OpenCifar(path, split);
  if (ending == "mat") return OpenImagenetSegmentation(path);
  if (IsPictureEnding(ending)) return OpenPictureFiles("picture", path, folder, {base});
  throw Error(ErrorCode::kInvalidArgument,
              "{}: ends in neither {} nor .tar, .tar.gz, .csv, .tsv or .mat; name a picture, a "
              "folder of pictures, .tar shards or a table of pictures",
              PathText(path), kPictureEndingsText);
}

std::unique_ptr<ImageSet> OpenFolder(const std::filesystem::path& path) {
  Listing listing = ListPictures(path);
  if (!listing.tars.empty() && !listing.pictures.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: has both pictures ({} of them, \"{}\" first) and tar files ({}, \"{}\" "
                "first); name a folder with one kind only",
                PathText(path), listing.pictures.size(), Printable(listing.pictures.front()),
                listing.tars.size(), Printable(listing.tars.front()));
  }
  if (!listing.tars.empty()) return OpenWebDataset(path, path, listing.tars);
  if (listing.pictures.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: no pictures in it or below; looked for {} and for .tar, found {} other files",
                PathText(path), kPictureEndingsText, listing.others);
  }
  return OpenPictureFiles("folder", path, path, std::move(listing.pictures));
}

}  // namespace

std::unique_ptr<ImageSet> OpenImageSet(const std::filesystem::path& path,
                                       const std::string& split) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  // Only what is known to be missing is said to be; a path that is too long, or without permission,
  // has its own message.
  if (status.type() == std::filesystem::file_type::none) {
    ThrowFileError(path, "cannot open", code.value());
  }
  if (!std::filesystem::exists(status)) {
    throw Error(ErrorCode::kNotFound,
                "{}: is not there; name a picture, a folder of pictures, .tar shards or a table of "
                "pictures",
                PathText(path));
  }
  std::unique_ptr<ImageSet> set;
  if (!std::filesystem::is_directory(status)) {
    set = OpenFile(path, split);
  } else {
    for (const PublishedSet& published : kPublishedSets) {
      if (published.is(path)) return published.open(path, split);
    }
    set = OpenFolder(path);
  }
  if (set->split() != split) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: is a set of kind {}, which has no splits, but split '{}' was asked for; leave "
                "--split out or name a folder with those pictures only",
                PathText(path), set->kind(), Printable(split, 80));
  }
  return set;
}

}  // namespace cliplens
