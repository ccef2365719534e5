// Pictures by the names that people give them, and the pictures that a store was made of.
//
//   const std::unique_ptr<ImageSet> set = OpenImages({.images = "photos/"});
//   const std::unique_ptr<ImageSet> shown = OpenImagesOf(store, "");  // null where they are gone
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/image.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

struct ImagesChoice {
  std::string images;  // as OpenImageSet takes it: a picture, a folder, a table, shards, a data set
  std::string split = {};         // only this split; empty: all
  std::string path_column = {};   // of a table
  bool allow_absolute = false;    // a table's paths may lead out of its folder
  bool exif_orientation = false;  // turns pictures upright
};
// Throws as OpenImageSet.
std::unique_ptr<ImageSet> OpenImages(const ImagesChoice& choice, OnError on_error = OnError::kStop);

// Numbers of the items whose attribute has the value of `only`, ATTRIBUTE=VALUE; all without it.
// `label=VALUE` is the label where no attribute has that name. Throws Error(kInvalidArgument) for
// text without a sign of equality, and Error(kNotFound) where none of `place` is left.
std::vector<Index> PicturesWith(const std::vector<Item>& items, const std::string& only,
                                const std::string& place);
// The set without all other pictures. Throws as PicturesWith.
std::unique_ptr<ImageSet> PartOf(std::unique_ptr<ImageSet> set, const std::string& only);

// The pictures that a store was made of, those of a merged store one set after the other; null
// where they are gone. `images`, unless empty, replaces the place that the manifest names; errors
// are then those of OpenImageSet.
std::unique_ptr<ImageSet> OpenImagesOf(const StoreInfo& store, const std::string& images);
std::unique_ptr<ImageSet> OpenImagesOf(const Store& store, const std::string& images);

// Whether the pictures of the store were turned upright by their EXIF orientation.
bool TurnsUpright(const StoreInfo& store);
bool TurnsUpright(const Store& store);

// The picture of a file or a pipe, for a model that prepares it so; `upright`: turned by its EXIF
// orientation. Errors name the path.
Image ReadPicture(const std::string& path, const PreprocessConfig& preprocess, bool upright);

}  // namespace cliplens
