#include "cliplens/dataset/on_error.h"

#include <algorithm>
#include <utility>

namespace cliplens {

std::optional<Image> PictureErrors::Read(
    const ImageSet& set, Index i, Item* item,
    std::function<void(Index width, Index height)> check_size) {
  try {
    *item = set.item(i);
    Image image = DecodePicture(set, i, item->path,
                                {.check_size = std::move(check_size), .keep_memory = true});
    const std::lock_guard lock(mutex_);
    oriented_ += OrientedIn(image);
    if (!item->problem.empty()) {
      incomplete_.push_back({i, item->path, item->problem});
    }
    return image;
  } catch (const Error& error) {
    if (policy_ == OnError::kStop || error.code() == ErrorCode::kInternal) throw;
    SkippedPicture skipped{i, item->path, error.what()};
    if (skipped.path.empty()) skipped.path = set.path(i);
    const std::lock_guard lock(mutex_);
    skipped_.push_back(std::move(skipped));
    codes_.push_back(error.code());
    return std::nullopt;
  }
}

namespace {

std::vector<SkippedPicture> ByIndex(std::vector<SkippedPicture> pictures) {
  std::ranges::sort(pictures, {}, &SkippedPicture::index);
  return pictures;
}

}  // namespace

Index PictureErrors::oriented() const {
  const std::lock_guard lock(mutex_);
  return oriented_;
}

std::vector<SkippedPicture> PictureErrors::skipped() const {
  const std::lock_guard lock(mutex_);
  return ByIndex(skipped_);
}

std::vector<SkippedPicture> PictureErrors::incomplete() const {
  const std::lock_guard lock(mutex_);
  return ByIndex(incomplete_);
}

void PictureErrors::CheckNotAll(Index count, const std::string& root) const {
  const std::lock_guard lock(mutex_);
  if (skipped_.empty() || static_cast<Index>(skipped_.size()) < count) return;
  const auto first = std::ranges::min_element(skipped_, {}, &SkippedPicture::index);
  throw Error(At(codes_, first - skipped_.begin()),
              "{}: none of its {} pictures can be read; the first: {}", root, count,
              first->message);
}

std::string SkippedText(const std::vector<SkippedPicture>& skipped, Index count) {
  return fmt::format("{} of {} pictures could not be read and were skipped; the first: {}",
                     skipped.size(), count, skipped.front().message);
}

std::string IncompleteText(const std::vector<SkippedPicture>& incomplete, Index count) {
  return fmt::format("{} of {} pictures lack attributes; the first: {}", incomplete.size(), count,
                     incomplete.front().message);
}

Index OrientedIn(const Image& image) { return image.orientation == 1 ? 0 : 1; }

std::string OrientedText(Index count) {
  return count == 1 ? "1 picture carries an EXIF orientation, which is left alone; "
                      "--exif-orientation turns it"
                    : fmt::format(
                          "{} pictures carry an EXIF orientation, which is left alone; "
                          "--exif-orientation turns them",
                          count);
}

}  // namespace cliplens
