// Sets of pictures: a folder, a list of files, or WebDataset tar shards.
//
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   for (Index i = 0; i < set->size(); ++i) Decode(set->Read(i), set->item(i).path);
//
// Recognised by what is there: one picture; a folder of pictures (recursive, sorted by path; files
// that are not pictures by their ending are passed over); a `.tar` file or a folder with `.tar`
// files only (WebDataset: members `key.png`, `key.json`, `key.mask.png` that share a key are one
// item; the members of the JSON become attributes, its "label" the label). In a folder of folders
// the name of the first-level folder is the label.
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
  std::string path;  // relative to the set's root: "birds/duck/1.png"; in a tar "test-000.tar/000017.png"
  std::optional<std::string> label;
  Json attributes = Json::object();
};

class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual Index size() const = 0;
  virtual const Item& item(Index i) const = 0;
  // The file's bytes as they are (JPEG, PNG, WebP). Thread-safe.
  virtual std::vector<std::uint8_t> Read(Index i) const = 0;
  // Object mask [height, width] as a picture's bytes where the set has one, else nothing.
  virtual std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const = 0;
  // For the manifest: "folder" or "webdataset", and the root as the user gave it.
  virtual std::string kind() const = 0;
  virtual std::string root() const = 0;
};

// Throws Error(kNotFound) for a missing path or a folder without pictures, Error(kCorruptData) for
// a broken tar; messages say what was looked for.
std::unique_ptr<ImageSet> OpenImageSet(const std::filesystem::path& path);

}  // namespace cliplens
