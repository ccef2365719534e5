#include "cliplens/decompose/range_set.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/dataset/memory_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {

std::string RangeLines(const ImageSet& set, Index begin, Index end,
                       const std::filesystem::path& folder) {
  const std::string front = folder.empty() ? "" : (folder / "").native();
  const char* key = folder.empty() ? "file" : "below";
  std::string lines;
  for (Index i = begin; i < end; ++i) {
    Json line = ItemJson(set.item(i));
    if (const std::optional<PictureExtent> extent = set.extent(i)) {
      std::string_view file = extent->file.native();
      if (file.starts_with(front)) file.remove_prefix(front.size());
      line[key] = NameText(file);
      if (extent->size) {
        line["offset"] = extent->offset;
        line["size"] = *extent->size;
      }
    }
    lines += DumpJson(line) + "\n";
  }
  return lines;
}

std::vector<ListedPicture> ParseRange(std::string_view lines, const std::string& name) {
  std::vector<ListedPicture> pictures;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string where = fmt::format("{}: line {}", name, pictures.size() + 1);
    const Json line = ParseJson(lines.substr(0, end), where);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ListedPicture picture{.item = ParseItem(line, where)};
    if (line.contains("file")) {
      PictureExtent& extent = picture.extent.emplace();
      extent.file = RawName(JsonField<std::string>(line, "file", where));
      if (line.contains("size")) {
        extent.offset = JsonField<std::int64_t>(line, "offset", where);
        extent.size = JsonField<std::int64_t>(line, "size", where);
        if (extent.offset < 0 || *extent.size < 0 || *extent.size > kMaxPictureBytes) {
          throw Error(ErrorCode::kCorruptData,
                      "{}: {} bytes at {} are no picture; list the set again", where, *extent.size,
                      extent.offset);
        }
      }
    }
    if (line.contains("broken")) {
      picture.broken = JsonField<std::string>(line, "broken", where);
    }
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

RangeSet::RangeSet(DataSource source, Index begin, std::vector<ListedPicture> pictures,
                   ReadPicture read)
    : source_(std::move(source)),
      begin_(begin),
      pictures_(std::move(pictures)),
      read_(std::move(read)) {
  if (begin_ < 0 || begin_ + std::ssize(pictures_) > size()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: {} pictures from {} on of a set of {}",
                source_.root, pictures_.size(), begin_, size());
  }
}

std::string RangeSet::root() const { return RawName(source_.root); }

const ListedPicture& RangeSet::At(Index i) const {
  if (i < begin_ || i >= begin_ + std::ssize(pictures_)) {
    throw Error(ErrorCode::kInternal, "{}: picture {} is outside of the range {} to {}",
                source_.root, i, begin_, begin_ + std::ssize(pictures_));
  }
  return cliplens::At(pictures_, i - begin_);
}

std::string RangeSet::paths_checksum() const {
  return source_.set_checksum.empty() ? ImageSet::paths_checksum() : source_.set_checksum;
}

const std::optional<PictureExtent>& RangeSet::ExtentOf(Index i) const {
  const ListedPicture& picture = At(i);
  if (!picture.broken.empty()) throw Error(ErrorCode::kCorruptData, "{}", picture.broken);
  return picture.extent;
}

std::vector<std::uint8_t> RangeSet::Read(Index i) const {
  const std::optional<PictureExtent>& extent = ExtentOf(i);
  if (!extent) {
    GivenPicture given = read_(i);
    return given.image ? EncodePng(*given.image) : std::move(given.bytes);
  }
  if (extent->size) {
    std::vector<std::uint8_t> bytes(ToSize(*extent->size));
    RandomAccessFile(extent->file).Read(extent->offset, bytes);
    return bytes;
  }
  // The user may name what comes out of a command.
  const bool named = IsMemoryRoot(source_.root);
  return ReadFile(extent->file, kMaxPictureBytes,
                  named ? FileKind::kRegularOrPipe : FileKind::kRegular);
}

std::optional<Image> RangeSet::Pixels(Index i, const DecodeOptions& options) const {
  if (ExtentOf(i)) return std::nullopt;
  GivenPicture given = read_(i);
  if (!given.image) return DecodeImage(given.bytes, path(i), options);
  if (options.check_size) options.check_size(given.image->width, given.image->height);
  return std::move(given.image);
}

}  // namespace cliplens
