// Pictures with masks in the layout of Pascal VOC ("The PASCAL Visual Object Classes Challenge: A
// Retrospective", IJCV 2015): JPEGImages/NAME.jpg and SegmentationClass/NAME.png, or
// SegmentationObject where that is not there, with the lists ImageSets/Segmentation/SPLIT.txt. 255
// marks the border of objects.
#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/listed_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPictureFolder = "JPEGImages";
constexpr const char* kClassFolder = "SegmentationClass";
constexpr const char* kObjectFolder = "SegmentationObject";
constexpr const char* kListFolder = "ImageSets/Segmentation";
constexpr int kBorder = 255;
constexpr Index kMaxListBytes = Index{16} << 20;

// Values 1 to 20 of a class mask.
constexpr std::array<const char*, 20> kClasses = {
    "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",      "car",
    "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",    "motorbike",
    "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};

std::string_view Stem(std::string_view base) { return base.substr(0, base.rfind('.')); }

// The names in a list, or of all masks.
std::vector<std::string> Names(const fs::path& root, const std::string& masks,
                               const std::string& split) {
  std::vector<std::string> names;
  if (split.empty()) {
    for (const std::string& path : ListPictures(root / masks).pictures) {
      names.emplace_back(Stem(path));
    }
    return names;
  }
  const bool plain = split.find('/') == std::string::npos && split.front() != '.';
  const fs::path list = root / kListFolder / (split + ".txt");
  if (!plain || !Exists(list)) {
    throw Error(ErrorCode::kNotFound,
                "{}: has no list {}/{}.txt for --split; name another split, or none for all "
                "pictures with a mask",
                PathText(root), kListFolder, Printable(split, 80));
  }
  const std::string text = ReadTextFile(list, kMaxListBytes);
  ForEachLine(text, PathText(list), [&](const Line& line) { names.emplace_back(Trim(line.text)); });
  return names;
}

// A set of listed pictures whose labels are read off their masks.
class PascalSet : public ImageSet {
 public:
  PascalSet(std::unique_ptr<ImageSet> pictures, bool class_masks)
      : pictures_(std::move(pictures)), class_masks_(class_masks) {}

  Index size() const override { return pictures_->size(); }
  std::string path(Index i) const override { return pictures_->path(i); }
  std::vector<std::uint8_t> Read(Index i) const override { return pictures_->Read(i); }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    return pictures_->ReadMask(i);
  }
  std::optional<int> mask_ignore() const override { return kBorder; }
  std::string kind() const override { return pictures_->kind(); }
  std::string root() const override { return pictures_->root(); }
  std::string split() const override { return pictures_->split(); }

  Item item(Index i) const override {
    Item item = pictures_->item(i);
    if (!class_masks_) return item;
    const std::optional<std::vector<std::uint8_t>> bytes = ReadMask(i);
    const Image mask = DecodeImage(bytes.value(), item.path + ": mask");
    if (BytesPerPixel(mask.mode) != 1) return item;
    const std::set<std::uint8_t> values(mask.pixels.begin(), mask.pixels.end());
    Json classes = Json::array();
    for (const std::uint8_t value : values) {
      if (value >= 1 && value <= kClasses.size()) classes.push_back(kClasses[value - 1U]);
    }
    if (classes.size() == 1) item.label = classes[0].get<std::string>();
    item.attributes["classes"] = std::move(classes);
    return item;
  }

 private:
  std::unique_ptr<ImageSet> pictures_;
  bool class_masks_;
};

}  // namespace

bool IsPascal(const fs::path& root) {
  return Exists(root / kPictureFolder) &&
         (Exists(root / kClassFolder) || Exists(root / kObjectFolder) ||
          Exists(root / kListFolder));
}

std::unique_ptr<ImageSet> OpenPascal(const fs::path& root, const std::string& split) {
  const bool class_masks = Exists(root / kClassFolder);
  const std::string masks = class_masks ? kClassFolder : kObjectFolder;
  if (!Exists(root / masks)) {
    throw Error(ErrorCode::kNotFound,
                "{}: has {} and {}, but neither {} nor {} with the masks; unpack the archive again",
                PathText(root), kPictureFolder, kListFolder, kClassFolder, kObjectFolder);
  }
  TextTable table({"path", "mask"});
  for (const std::string& name : Names(root, masks, split)) {
    const std::string picture = std::string(kPictureFolder) + "/" + name + ".jpg";
    const std::string mask = masks + "/" + name + ".png";
    const std::array<std::string_view, 2> row = {picture, mask};
    table.AddRow(row);
  }
  return std::make_unique<PascalSet>(OpenPictureTable({.kind = "pascal",
                                                       .root = root,
                                                       .folder = root,
                                                       .split = split,
                                                       .table = std::move(table),
                                                       .path = 0,
                                                       .mask = 1,
                                                       .mask_ignore = kBorder}),
                                     class_masks);
}

}  // namespace cliplens
