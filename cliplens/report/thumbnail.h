// Small copies of pictures, to be put in a page.
//
//   const EncodedPicture small = EncodeSmall(picture);
//   Print(small.content_type, small.bytes.size());
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/io/image.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

// A small picture's file: lossless (PNG) if that is small too, as for drawings, else WebP.
struct EncodedPicture {
  const char* content_type = "";
  std::vector<std::uint8_t> bytes;
};
EncodedPicture EncodeSmall(const Image& picture);

// Most pixels along a side of a thumbnail: sharp at 48 CSS pixels on a screen of double density.
inline constexpr Index kThumbnailSide = 96;

struct Thumbnail {
  Index item = 0;        // in the store
  Index side = 0;        // pixels; thumbnails are square, as what the model reads
  std::string data_uri;  // "data:image/png;base64,..."
};

struct ThumbnailSet {
  std::vector<Thumbnail> thumbnails;  // by item, each item once
  Index asked = 0;
  // The number of pictures that could not be read, and the reason for the first.
  Index missing = 0;
  std::string first_reason;
};

// Thumbnails of `wanted` (numbers into `items`, in any order, repeats allowed), resized and cropped
// as `config` says, so that they show what the model reads. Pictures are looked up in `images` by
// path; one that is not there or cannot be read is counted, not fatal. Small pictures stay lossless
// (PNG), others become WebP. `images` may be null.
ThumbnailSet MakeThumbnails(const ImageSet* images, const std::vector<Item>& items,
                            std::vector<Index> wanted, const PreprocessConfig& config, int threads,
                            const ProgressSink& progress = {});

}  // namespace cliplens
