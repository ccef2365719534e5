#include "cliplens/dataset/image_set.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/memory_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {
namespace {

// Data sets that are published as a folder of a certain layout.
struct PublishedSet {
  bool (*is)(const std::filesystem::path& root);
  std::unique_ptr<ImageSet> (*open)(const std::filesystem::path& root, const std::string& split);
};
constexpr std::array<PublishedSet, 6> kPublishedSets = {{{IsWaterbirds, OpenWaterbirds},
                                                         {IsCeleba, OpenCeleba},
                                                         {IsCub, OpenCub},
                                                         {IsCifar, OpenCifar},
                                                         {IsPascal, OpenPascal},
                                                         {IsImagenet, OpenImagenet}}};

[[noreturn]] void ThrowPacked(const std::filesystem::path& file) {
  throw Error(ErrorCode::kUnsupported,
              "{}: is a packed shard (.{}), which is not read; unpack it first: {}", PathText(file),
              PackedTarEnding(LowerAscii(file.filename().native())), UnpackCommand(file.native()));
}

// Of packed archives CIFAR's are read, by their name; another one is a shard.
std::unique_ptr<ImageSet> OpenPacked(const std::filesystem::path& path, const std::string& split) {
  const std::string name = LowerAscii(path.filename().native());
  if (name.find("cifar") != std::string::npos && name.ends_with("gz")) {
    return OpenCifar(path, split);
  }
  ThrowPacked(path);
}

std::unique_ptr<ImageSet> OpenFile(const std::filesystem::path& path,
                                   const ImageSetOptions& options) {
  const std::string base = NameText(path.filename().native());
  const std::string ending = LastEnding(base);
  const std::filesystem::path folder = path.parent_path();
  if (ending == "csv" || ending == "tsv" || ending == "jsonl" || ending == "parquet") {
    return OpenTable(path, options);
  }
  if (ending == "tar") return OpenWebDataset(path, folder, {base}, {}, options.on_error);
  if (!PackedTarEnding(LowerAscii(base)).empty()) return OpenPacked(path, options.split);
  if (ending == "mat") return OpenImagenetSegmentation(path);
  const auto begins_as_picture = [&] {
    const RandomAccessFile file(path);
    return BeginsAsPicture(file, 0, file.size());
  };
  if (IsPictureEnding(ending) || begins_as_picture()) {
    Listing listing;
    listing.pictures = {base};
    return OpenPictureFiles("picture", path, folder, std::move(listing), options);
  }
  throw Error(ErrorCode::kInvalidArgument,
              "{}: ends in neither {} nor .tar, .csv, .tsv, .jsonl, .parquet or .mat, and does not "
              "begin as a "
              "picture; name a picture, a folder of pictures, .tar shards or a table of pictures",
              PathText(path), kPictureEndingsText);
}

std::unique_ptr<ImageSet> OpenFolder(const std::filesystem::path& path,
                                     const ImageSetOptions& options) {
  Listing listing = ListPictures(path);
  if (!listing.tars.empty() && !listing.pictures.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: has both pictures ({} of them, \"{}\" first) and tar files ({}, \"{}\" "
                "first); name a folder with one kind only",
                PathText(path), listing.pictures.size(), Printable(listing.pictures.front()),
                listing.tars.size(), Printable(listing.tars.front()));
  }
  if (!listing.tars.empty()) {
    for (const std::string& table : listing.tables) listing.left_out.PassOver(table);
    return OpenWebDataset(path, path, listing.tars, std::move(listing.left_out), options.on_error);
  }
  if (listing.pictures.empty()) {
    if (!listing.packed_tar.empty()) ThrowPacked(path / listing.packed_tar);
    const std::vector<std::string> lines = LinesOf(listing.left_out);
    throw Error(ErrorCode::kNotFound,
                "{}: no pictures in it or below; looked for {} and for .tar{}{}", PathText(path),
                kPictureEndingsText, lines.empty() ? "" : "; ", lines.empty() ? "" : lines.front());
  }
  return OpenPictureFiles("folder", path, path, std::move(listing), options);
}

}  // namespace

std::string ImageSet::paths_checksum() const {
  Hasher hasher;
  for (Index i = 0; i < size(); ++i) hasher.Update(path(i) + "\n");
  return hasher.Digest();
}

Image DecodePicture(const ImageSet& set, Index i, const std::string& name, DecodeOptions options) {
  options.exif_orientation = set.exif_orientation(i);
  if (std::optional<Image> image = set.Pixels(i, options)) return std::move(*image);
  return DecodeImage(set.Read(i), name, options);
}

std::unique_ptr<ImageSet> OpenImageSet(const std::filesystem::path& path,
                                       const ImageSetOptions& options) {
  if (IsMemoryRoot(path)) return OpenNamedSet(path.native());
  RefuseAddress(path);
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
    set = OpenFile(path, options);
  } else {
    const auto* published =
        std::ranges::find_if(kPublishedSets, [&](const auto& kind) { return kind.is(path); });
    set = published == kPublishedSets.end() ? OpenFolder(path, options)
                                            : published->open(path, options.split);
  }
  if (set->split() != options.split) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: is a set of kind {}, which has no splits, but split '{}' was asked for; leave "
                "--split out or name a folder with those pictures only",
                PathText(path), set->kind(), Printable(options.split, 80));
  }
  const bool absolute = set->allow_absolute() != options.allow_absolute;
  if (absolute || set->path_column() != options.path_column) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: is a set of kind {}, and {} is for tables; leave it out or name the table",
                PathText(path), set->kind(), absolute ? "--allow-absolute" : "--path-column");
  }
  return set;
}

}  // namespace cliplens
