// Small copies of pictures, ready to stand in a page.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"

namespace cliplens {

// Longest side of a thumbnail, in pixels: sharp at 48 CSS pixels on a screen of double density.
inline constexpr Index kThumbnailSide = 96;

struct Thumbnail {
  Index item = 0;  // in the store
  Index width = 0;
  Index height = 0;
  std::string data_uri;  // "data:image/png;base64,..."
};

struct ThumbnailSet {
  std::vector<Thumbnail> thumbnails;  // by item, each item once
  Index asked = 0;
  // Of the pictures that could not be had: how many, and the first one's reason.
  Index missing = 0;
  std::string first_reason;
};

// Thumbnails of `wanted` (numbers into `items`, in any order, repeats allowed). Pictures are looked
// up in `images` by path; one that is not there or cannot be read is counted, not fatal. Small
// pictures stay lossless, larger ones are scaled down and become WebP; transparency is laid on
// white. `images` may be null.
ThumbnailSet MakeThumbnails(const ImageSet* images, const std::vector<Item>& items,
                            std::vector<Index> wanted, int threads,
                            const ProgressSink& progress = {});

}  // namespace cliplens
