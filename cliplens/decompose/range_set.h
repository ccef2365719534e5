// A range of a set of pictures that another process listed: all that a worker of a cluster needs to
// know of the set.
//
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   const DataSource source = DescribeSet(*set, 1024);              // once
//   const std::string lines = RangeLines(*set, 0, 1024, "");        // for each range
//   const RangeSet range(source, 0, ParseRange(lines, "range 0"), {});
//   DecodePicture(range, 12, range.path(12));                       // on another machine
//
// What it says of the set is what the set says, so that a store of a part is the one that a process
// with the whole set makes (Decompose with `part`). Pictures in memory are such a range, too: the
// whole of a set that no file lists.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/store_info.h"

namespace cliplens {

// A picture of a range: its line in the store, and where its file lies.
struct ListedPicture {
  Item item;
  std::optional<PictureExtent> extent = {};
  std::string broken = {};  // why it must not be read, such as that it ends who decodes it
};

// The pictures [begin, end) of a set as JSON, one a line: what stands in a store's items, and
// "file", "offset", "size" where the set says them. With `folder` the set was listed in a place
// that its files are not in: "below" is the file's path from there, and they are read by `read`.
std::string RangeLines(const ImageSet& set, Index begin, Index end,
                       const std::filesystem::path& folder);
// The same back. "broken" is why a picture must not be read: its Error(kCorruptData). Throws
// Error(kCorruptData) that names the line.
std::vector<ListedPicture> ParseRange(std::string_view lines, const std::string& name);

// What a program has in place of a file: the bytes of one, or the picture itself.
struct GivenPicture {
  std::vector<std::uint8_t> bytes = {};
  std::optional<Image> image = {};
};

class RangeSet : public ImageSet {
 public:
  // Picture i of the set; it is called by several threads.
  using ReadPicture = std::function<GivenPicture(Index i)>;

  // `begin` is the number in the set of the first picture. Pictures without an extent are those
  // that `read` gives.
  RangeSet(DataSource source, Index begin, std::vector<ListedPicture> pictures, ReadPicture read);

  // Of the whole set. Pictures outside of the range are Error(kInternal).
  Index size() const override { return source_.set_images; }
  Item item(Index i) const override { return At(i).item; }
  std::string path(Index i) const override { return At(i).item.path; }
  std::vector<std::uint8_t> Read(Index i) const override;
  std::optional<Image> Pixels(Index i, const DecodeOptions& options) const override;
  std::optional<std::vector<std::uint8_t>> ReadMask(Index) const override { return std::nullopt; }
  std::string paths_checksum() const override;
  std::string kind() const override { return source_.kind; }
  std::string root() const override;
  std::string split() const override { return source_.split; }
  std::string path_column() const override { return source_.path_column; }
  bool allow_absolute() const override { return source_.allow_absolute; }
  bool exif_orientation(Index) const override { return source_.exif_orientation; }
  LeftOut left_out() const override { return source_.left_out; }

 private:
  const ListedPicture& At(Index i) const;
  const std::optional<PictureExtent>& ExtentOf(Index i) const;  // of one that may be read

  DataSource source_;
  Index begin_;
  std::vector<ListedPicture> pictures_;
  ReadPicture read_;
};

}  // namespace cliplens
