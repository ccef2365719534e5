// Pictures that clients sent, small copies of pictures, and bounded caches for both.
//
//   BoundedCache<std::string> cache(/*bytes=*/1 << 20);
//   cache.Add("name", "duck", /*bytes=*/4);
//   if (const auto found = cache.Find("name")) Print(*found);
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cliplens/io/image.h"

namespace cliplens::server {

// Values by key. The least recently used are dropped when all together have too many bytes.
template <typename Value>
class BoundedCache {
 public:
  explicit BoundedCache(Index bytes) : bytes_(bytes) {}

  // Null if it is not there or was dropped.
  std::shared_ptr<const Value> Find(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second.place);
    return found->second.value;
  }
  // A value larger than the cache is not kept.
  std::shared_ptr<const Value> Add(const std::string& key, Value value, Index bytes) {
    auto shared = std::make_shared<const Value>(std::move(value));
    const std::scoped_lock lock(mutex_);
    if (bytes > bytes_ || entries_.contains(key)) return shared;
    order_.push_front(key);
    entries_.emplace(key, Entry{shared, bytes, order_.begin()});
    used_ += bytes;
    while (used_ > bytes_) {
      const auto last = entries_.find(order_.back());
      used_ -= last->second.bytes;
      entries_.erase(last);
      order_.pop_back();
    }
    return shared;
  }

 private:
  struct Entry {
    std::shared_ptr<const Value> value;
    Index bytes = 0;
    std::list<std::string>::iterator place;
  };
  Index bytes_;
  Index used_ = 0;
  std::mutex mutex_;
  std::list<std::string> order_;  // most recently used first
  std::map<std::string, Entry> entries_;
};

// A picture's file as it was sent.
struct SentPicture {
  std::vector<std::uint8_t> bytes;
  Index width = 0, height = 0;
};

// A file to send.
struct PictureFile {
  std::string bytes;
  std::string content_type;  // by the first bytes; empty where they are of no known kind
};

// How a picture is shown: as the models see it.
struct Showing {
  Index max_pixels = kMaxPixels;
  bool exif_orientation = false;  // turned upright
};

// The bytes as they are, if a browser shows them as `showing` says; else a PNG. `name` stands in
// messages. Throws as DecodeImage.
PictureFile WholePicture(std::span<const std::uint8_t> bytes, const std::string& name,
                         const Showing& showing);
// The picture fitted into side x side, as WebP; as PNG if it is smaller than that and lossless.
// `name` stands in messages. Throws as DecodeImage.
PictureFile SmallPicture(std::span<const std::uint8_t> bytes, const std::string& name, Index side,
                         const Showing& showing);

}  // namespace cliplens::server
