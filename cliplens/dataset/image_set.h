// Sets of pictures: a picture, a folder, a table, WebDataset shards or a published data set.
//
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   for (Index i = 0; i < set->size(); ++i) Use(DecodeImage(set->Read(i), set->path(i)));
//
// The kind is recognised by what the path holds (docs/datasets.md has every layout):
// - one picture: a set of one item;
// - a folder of pictures, recursive, sorted by path byte by byte. Hidden files and files that are
//   no pictures by their ending (.jpg .jpeg .png .webp, any case) are skipped. `1.mask.png` beside
//   the picture `1.png` is its mask. In a folder of folders the first-level folder's name is the
//   label. Links to files and folders are followed, each folder once;
// - a `.tar` file, or a folder with `.tar` files among its files and no pictures (WebDataset):
//   members with the same key, the name up to its first dot, make one item. `key.png` is the
//   picture and `key.mask.png` its mask. The object in `key.json` gives the attributes, and its
//   member "label" the label; without it the text of `key.cls` is the label. The text of `key.txt`
//   becomes the attribute "caption". Shards are sorted by path, items keep the order of the
//   archive, and members without a picture are skipped;
// - a `.csv` or `.tsv` file: one picture a row, its path relative to the file's folder, other
//   columns are attributes;
// - Waterbirds, CUB-200, ImageNet's validation set, CIFAR-10 and CIFAR-100, Pascal VOC's
//   segmentation pictures, ImageNet-Segmentation, each in the layout in which it is published;
//   CIFAR's binary archives also packed (.tar.gz).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct Item {
  // Relative to the set's root: "birds/duck/1.png"; in a tar "test-000.tar/000017.png".
  std::string path;
  std::optional<std::string> label;
  Json attributes = Json::object();
};

class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual Index size() const = 0;
  // Items are made on each call (a WebDataset reads its mapped archive), so that a set of a million
  // pictures takes about 100 MB. Thread-safe. Throws Error(kCorruptData) for a broken `key.json`.
  virtual Item item(Index i) const = 0;
  // item(i).path, without reading the other fields.
  virtual std::string path(Index i) const { return item(i).path; }
  // The bytes of the picture's file (JPEG, PNG, WebP). Sets that store raw pixels give them as a
  // PNG. Thread-safe.
  virtual std::vector<std::uint8_t> Read(Index i) const = 0;
  // The object mask [height, width] as the bytes of a picture, or nothing if the set has none. 0 is
  // the background, every other value an object.
  virtual std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const = 0;
  // The value of mask pixels that are not counted, if the set has such a value.
  virtual std::optional<int> mask_ignore() const { return std::nullopt; }
  // For the manifest: "picture", "folder", "webdataset", "table", "waterbirds", "cub", "imagenet",
  // "cifar-10", "cifar-100", "pascal" or "imagenet-segmentation", the root as the user gave it, and
  // the split that was asked for, empty for all pictures.
  virtual std::string kind() const = 0;
  virtual std::string root() const = 0;
  virtual std::string split() const { return ""; }
};

// `split` names the part of a set that is published in parts (train, val, test), or a value of a
// table's column "split"; empty: all pictures.
// Throws Error(kNotFound) for a missing path, a set without pictures, a layout that lacks a file
// and a split that is not there, Error(kInvalidArgument) for a file of no known kind, for a folder
// with both pictures and tars and for a split of a set without any, Error(kCorruptData) for a
// broken tar, table or archive; messages say what was looked for.
std::unique_ptr<ImageSet> OpenImageSet(const std::filesystem::path& path,
                                       const std::string& split = "");

}  // namespace cliplens
