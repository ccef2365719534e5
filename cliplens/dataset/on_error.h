// What to do about pictures that cannot be read.
//
//   PictureErrors errors(OnError::kSkip);
//   ParallelFor(threads, set->size(), [&](Index i, int) {
//     Item item;
//     const std::optional<Image> image = errors.Read(*set, i, &item);
//     if (image) Use(*image);
//   });
//   errors.CheckNotAll(set->size(), set->root());
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/io/image.h"

namespace cliplens {

struct SkippedPicture {
  Index index = 0;  // in its set
  std::string path;
  std::string message;
  friend bool operator==(const SkippedPicture&, const SkippedPicture&) = default;
};

// Thread-safe.
class PictureErrors {
 public:
  explicit PictureErrors(OnError policy) : policy_(policy) {}

  // Picture i decoded, or nothing if it was skipped. Sets `item` to set.item(i). The picture keeps
  // its share of the memory for decoding; drop it before the next. `check_size` as in
  // DecodeOptions.
  std::optional<Image> Read(const ImageSet& set, Index i, Item* item,
                            std::function<void(Index width, Index height)> check_size = {});

  // How many of the pictures read carry an EXIF orientation that was left alone.
  Index oriented() const;

  // By index.
  std::vector<SkippedPicture> skipped() const;
  // Pictures that were read and lack attributes, by index.
  std::vector<SkippedPicture> incomplete() const;

  // Throws the first picture's error, with the count, when all of `count` pictures were skipped.
  void CheckNotAll(Index count, const std::string& root) const;

 private:
  OnError policy_;
  mutable std::mutex mutex_;
  std::vector<SkippedPicture> skipped_;
  std::vector<ErrorCode> codes_;
  std::vector<SkippedPicture> incomplete_;
  Index oriented_ = 0;
};

// "3 of 20 pictures could not be read and were skipped; the first: MESSAGE".
std::string SkippedText(const std::vector<SkippedPicture>& skipped, Index count);
// "2 of 20 pictures lack attributes; the first: MESSAGE".
std::string IncompleteText(const std::vector<SkippedPicture>& incomplete, Index count);

// 1 for a picture that carries an EXIF orientation which was left alone, else 0.
Index OrientedIn(const Image& image);
// "3 pictures carry an EXIF orientation, which is left alone; --exif-orientation turns them".
std::string OrientedText(Index count);

}  // namespace cliplens
