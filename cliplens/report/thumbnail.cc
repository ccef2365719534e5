#include "cliplens/report/thumbnail.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/image.h"
#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

// A lossless thumbnail may take this much; drawings stay below it, photographs do not.
constexpr std::size_t kLosslessBytes = 4096;
constexpr int kThumbnailQuality = 82;

Thumbnail MakeThumbnail(const Image& picture, Index number, PreprocessConfig config) {
  // Never larger than the model's input or the picture itself, which would show no more.
  const auto [shorter, longer] = std::minmax(picture.width, picture.height);
  const Index reads = config.image_size;
  const Index side = std::min(
      {kThumbnailSide, reads, config.resize_mode == ResizeMode::kLongest ? longer : shorter});
  Image small;
  if (config.resize_mode == ResizeMode::kNone) {
    small = Resize(ResizeAndCrop(picture, config), side, side, config.interpolation);
  } else {
    config.image_size = side;
    // A margin that the crop takes off stays in proportion.
    config.resize_size = (config.resize_size * side + reads / 2) / reads;
    small = ResizeAndCrop(picture, config);
  }
  Thumbnail thumbnail{number, small.width, {}};
  const EncodedPicture encoded = EncodeSmall(small);
  thumbnail.data_uri =
      std::string("data:") + encoded.content_type + ";base64," + EncodeBase64(encoded.bytes);
  return thumbnail;
}

// The place of each wanted item in `images`, -1 where it is not. Stores that were merged may hold
// one path several times, each from a set of its own: the first in the store is the first in
// `images`, if both have it equally often.
std::vector<Index> FindItems(const ImageSet& images, const std::vector<Item>& items,
                             const std::vector<Index>& wanted) {
  struct Places {
    std::vector<Index> in_store, in_images;
  };
  std::unordered_map<std::string_view, Places> places;
  for (const Index item : wanted) places[At(items, item).path];
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto found = places.find(items[i].path);
    if (found != places.end()) found->second.in_store.push_back(static_cast<Index>(i));
  }
  for (Index i = 0; i < images.size(); ++i) {
    const auto found = places.find(images.path(i));
    if (found != places.end()) found->second.in_images.push_back(i);
  }
  std::vector<Index> result;
  for (const Index item : wanted) {
    const Places& at = places.at(At(items, item).path);
    const auto occurrence = std::find(at.in_store.begin(), at.in_store.end(), item);
    result.push_back(at.in_store.size() == at.in_images.size()
                         ? At(at.in_images, occurrence - at.in_store.begin())
                         : -1);
  }
  return result;
}

}  // namespace

EncodedPicture EncodeSmall(const Image& picture) {
  std::vector<std::uint8_t> png = EncodePng(picture);
  if (png.size() <= kLosslessBytes) return {"image/png", std::move(png)};
  return {"image/webp", EncodeWebp(picture, kThumbnailQuality)};
}

ThumbnailSet MakeThumbnails(const ImageSet* images, const std::vector<Item>& items,
                            std::vector<Index> wanted, const PreprocessConfig& config, int threads,
                            const ProgressSink& progress) {
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  for (const Index item : wanted) {
    if (item < 0 || item >= static_cast<Index>(items.size())) {
      throw Error(ErrorCode::kInvalidArgument, "thumbnail of picture {}: the store has {} pictures",
                  item, items.size());
    }
  }
  ThumbnailSet set;
  set.asked = static_cast<Index>(wanted.size());
  if (images == nullptr) {
    set.missing = set.asked;
    if (set.missing > 0) set.first_reason = "the set of pictures could not be opened";
    return set;
  }
  const std::vector<Index> place = FindItems(*images, items, wanted);
  std::vector<Thumbnail> made(wanted.size());
  std::vector<std::string> reasons(wanted.size());
  std::mutex mutex;
  Index done = 0;
  ParallelFor(threads, set.asked, [&](Index task, int) {
    const auto k = ToSize(task);
    const Item& item = At(items, wanted[k]);
    try {
      if (place[k] < 0) {
        throw Error(ErrorCode::kNotFound, "{}: not in {}", item.path, images->root());
      }
      const Image picture = DecodePicture(
          *images, place[k], item.path, {.check_size = SizeCheckFor(config), .keep_memory = true});
      made[k] = MakeThumbnail(picture, wanted[k], config);
    } catch (const Error& error) {
      reasons[k] = error.what();
    }
    if (progress) {
      const std::lock_guard lock(mutex);
      progress(++done, set.asked);
    }
  });
  for (std::size_t k = 0; k < made.size(); ++k) {
    if (!made[k].data_uri.empty()) {
      set.thumbnails.push_back(std::move(made[k]));
    } else if (set.missing++ == 0) {
      set.first_reason = reasons[k];
    }
  }
  return set;
}

}  // namespace cliplens
