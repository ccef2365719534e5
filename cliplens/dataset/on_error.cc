#include "cliplens/dataset/on_error.h"

#include <algorithm>

namespace cliplens {

std::optional<Image> PictureErrors::Read(const ImageSet& set, Index i, Item* item) {
  try {
    *item = set.item(i);
    Image image = DecodeImage(set.Read(i), item->path);
    if (!item->problem.empty()) {
      const std::lock_guard lock(mutex_);
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

}  // namespace cliplens
