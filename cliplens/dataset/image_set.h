// Sets of pictures: a picture, a folder, a table, WebDataset shards or a published data set.
//
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   for (Index i = 0; i < set->size(); ++i) Use(DecodeImage(set->Read(i), set->path(i)));
//
// The kind is recognised by what the path holds (docs/datasets.md has every layout):
// - one picture: a set of one item;
// - a folder of pictures, recursive, sorted by path byte by byte: files whose ending is one of
//   PictureEndings() in any case, and files without an ending that begin as a picture does. Hidden
//   files are skipped. `1.mask.png` beside the picture `1.png` is its mask. In a folder of folders
//   the first-level folder's name is the label; where the first-level folders are splits (train,
//   val, test), it is the split, and the second-level folder's name the label. A `metadata.csv`,
//   `metadata.jsonl` or `metadata.parquet` in a folder tells of the pictures beside and below it,
//   one row each. Links to files and folders are followed, each folder once;
// - a `.tar` file, or a folder with `.tar` files among its files and no pictures (WebDataset): the
//   key of a member is its name up to the first dot of its last part, the rest is its extension,
//   which the part behind its last dot tells the kind of. Each picture is an item, also where
//   several have one key; `key.mask.png`, `key.json`, `key.cls` and `key.txt` belong to all of them,
//   `key.left.json` to `key.left.png` alone. The object in the `.json` gives the attributes, and its
//   member "label" the label; without it the text of the `.cls` is the label. The text of the
//   `.txt` becomes the attribute "caption". Shards are sorted by path, items keep the order of the
//   archive;
// - a `.csv`, `.tsv`, `.jsonl` or `.parquet` file: one picture a row, its path relative to the
// file's folder,
//   other columns are attributes;
// - Waterbirds, CUB-200, CelebA, ImageNet's validation set, CIFAR-10 and CIFAR-100, Pascal VOC's
//   segmentation pictures, ImageNet-Segmentation, each in the layout in which it is published;
//   CIFAR's binary archives also packed (.tar.gz).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"

namespace cliplens {

// What to do about what cannot be read.
enum class OnError {
  kStop,  // the first ends the run with its error
  kSkip,  // it is left out and listed
};

struct Item {
  // Relative to the set's root: "birds/duck/1.png"; in a tar "test-000.tar/000017.png". Text as
  // NameText() writes it: a byte that is not UTF-8 stands as \xNN, in labels too.
  std::string path;
  std::optional<std::string> label;
  Json attributes = Json::object();
  // Why some attributes are missing (OnError::kSkip); empty if none are.
  std::string problem = {};
};

// What lies where a set is and is not in it.
struct LeftOut {
  struct Unread {
    std::string path;  // of a shard, or a member of one
    std::string message;
  };
  // Files that are not read, by kind: the ending with its dot, in lower case, or "no ending",
  // "hidden picture", "no file" (pipes, links to nothing), "other endings".
  std::map<std::string, Index> passed_over;
  std::vector<Unread> unread;      // OnError::kSkip: damaged shards, read up to there
  std::vector<std::string> notes;  // sentences: what one may not expect of the set

  // Counts a file by the name's ending.
  void PassOver(std::string_view name);
  // Counts a hidden file that is a picture by its ending.
  void PassOverHidden(std::string_view name);
  void PassOverKind(std::string kind, Index files = 1);
  Index files() const;  // passed over
};
// What is to be said of it, one line each: "3 other files were passed over: .gif 2, no ending 1".
std::vector<std::string> LinesOf(const LeftOut& left_out);

// Where a picture's file lies: a file, or a piece of one.
struct PictureExtent {
  std::filesystem::path file;
  Index offset = 0;
  std::optional<Index> size = {};  // nothing: to the end of the file
};

class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual Index size() const = 0;
  // Items are made on each call (a WebDataset reads its archive), so that a set of a million
  // pictures takes about 100 MB. Thread-safe. Throws Error(kCorruptData) for a broken `key.json`,
  // a text that is not UTF-8 and the like, unless the set was opened with OnError::kSkip.
  virtual Item item(Index i) const = 0;
  // item(i).path, without reading the other fields.
  virtual std::string path(Index i) const { return item(i).path; }
  // The bytes of the picture's file. Sets that store raw pixels give them as a
  // PNG. Thread-safe.
  virtual std::vector<std::uint8_t> Read(Index i) const = 0;
  // Where Read finds these bytes; nothing where it makes them.
  virtual std::optional<PictureExtent> extent(Index) const { return std::nullopt; }
  // XXH3-128 of the paths, one a line.
  virtual std::string paths_checksum() const;
  // The picture itself, of sets that hold pixels in memory (memory_set.h); nothing of those that
  // hold files. `options` are for what must be decoded, and its size is checked. Thread-safe.
  virtual std::optional<Image> Pixels(Index, const DecodeOptions&) const { return std::nullopt; }
  // The object mask [height, width] as the bytes of a picture, or nothing if the set has none. 0 is
  // the background, every other value an object.
  virtual std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const = 0;
  // The value of mask pixels that are not counted, if the set has such a value.
  virtual std::optional<int> mask_ignore() const { return std::nullopt; }
  // For the manifest: "picture", "memory", "folder", "webdataset", "table", "waterbirds", "cub",
  // "celeba", "imagenet", "cifar-10", "cifar-100", "pascal" or "imagenet-segmentation", and the
  // root as the user gave it.
  virtual std::string kind() const = 0;
  virtual std::string root() const = 0;
  // What the set was opened with, as far as it has a meaning for its kind.
  virtual std::string split() const { return ""; }
  virtual std::string path_column() const { return ""; }
  virtual bool allow_absolute() const { return false; }
  virtual LeftOut left_out() const { return {}; }

  // Whether picture i is turned upright by its EXIF orientation when it is decoded. Not by default,
  // as in the reference.
  virtual bool exif_orientation(Index) const { return exif_orientation_; }
  void set_exif_orientation(bool on) { exif_orientation_ = on; }

 private:
  bool exif_orientation_ = false;
};

// Picture i of the set, decoded as the set says. `name` stands in messages. Throws as
// ImageSet::Read and DecodeImage.
Image DecodePicture(const ImageSet& set, Index i, const std::string& name,
                    DecodeOptions options = {});

struct ImageSetOptions {
  // The part of a set that is published in parts (train, val, test), or a value of a table's column
  // "split"; empty: all pictures.
  std::string split = {};
  std::string path_column = {};       // of a table; empty: the first of those that are known
  bool allow_absolute = false;        // a table's paths may be absolute or have '..' in them
  OnError on_error = OnError::kStop;  // about shards and attributes; pictures are the reader's
};

// Throws Error(kNotFound) for a missing path, a set without pictures, a layout that lacks a file
// and a split that is not there, Error(kInvalidArgument) for a file of no known kind, for a folder
// with both pictures and tars and for an option that the set has no use for, Error(kUnsupported)
// for packed shards and Parquet files, Error(kCorruptData) for a broken tar, table or archive;
// messages say what was looked for.
std::unique_ptr<ImageSet> OpenImageSet(const std::filesystem::path& path,
                                       const ImageSetOptions& options = {});

}  // namespace cliplens
