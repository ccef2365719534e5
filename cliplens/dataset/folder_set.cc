#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"

namespace cliplens {
namespace {

constexpr std::string_view kMaskEnding = "mask.png";

// Pictures in files, one or a folder of them.
class FileSet : public ImageSet {
 public:
  // `pictures` are relative to `folder` and sorted.
  FileSet(std::string kind, std::filesystem::path root, std::filesystem::path folder,
          std::vector<std::string> pictures)
      : kind_(std::move(kind)), root_(std::move(root)), folder_(std::move(folder)) {
    // A name of the form key.mask.png is a mask if a picture has the same key. Both begin with
    // "key.", so the picture is found in the sorted list.
    std::map<std::string, std::string> mask_of;  // picture to mask
    std::set<std::string> masks;
    for (const std::string& path : pictures) {
      if (!LowerAscii(path).ends_with("." + std::string(kMaskEnding))) continue;
      const std::string stem = path.substr(0, path.size() - kMaskEnding.size());
      for (auto other = std::lower_bound(pictures.begin(), pictures.end(), stem);
           other != pictures.end() && other->starts_with(stem); ++other) {
        if (!IsPictureEnding(LowerAscii(std::string_view(*other).substr(stem.size())))) continue;
        mask_of[*other] = path;
        masks.insert(path);
      }
    }
    for (std::string& path : pictures) {
      if (masks.contains(path)) continue;
      if (const auto found = mask_of.find(path); found != mask_of.end()) {
        masks_.emplace(static_cast<Index>(paths_.size()), found->second);
      }
      paths_.push_back(std::move(path));
    }
  }

  Index size() const override { return static_cast<Index>(paths_.size()); }

  Item item(Index i) const override {
    Item item{.path = Path(i), .label = std::nullopt};
    const std::size_t slash = item.path.find('/');
    if (slash != std::string::npos) item.label = item.path.substr(0, slash);
    return item;
  }

  std::string path(Index i) const override { return Path(i); }

  std::vector<std::uint8_t> Read(Index i) const override {
    return ReadFile(folder_ / Path(i), kMaxPictureBytes, Kind());
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    CheckPictureIndex(i, size(), root());
    const auto found = masks_.find(i);
    if (found == masks_.end()) return std::nullopt;
    return ReadFile(folder_ / found->second, kMaxPictureBytes, Kind());
  }

  std::string kind() const override { return kind_; }
  std::string root() const override { return root_.string(); }

 private:
  // The user may name a pipe; among the files of a folder one would be waited for.
  FileKind Kind() const { return root_ == folder_ ? FileKind::kRegular : FileKind::kRegularOrPipe; }

  const std::string& Path(Index i) const {
    CheckPictureIndex(i, size(), root());
    return At(paths_, i);
  }

  std::string kind_;
  std::filesystem::path root_;    // as the user gave it
  std::filesystem::path folder_;  // that the paths are relative to
  std::vector<std::string> paths_;
  std::map<Index, std::string> masks_;
};

}  // namespace

std::unique_ptr<ImageSet> OpenPictureFiles(std::string kind, const std::filesystem::path& root,
                                           const std::filesystem::path& folder,
                                           std::vector<std::string> pictures) {
  return std::make_unique<FileSet>(std::move(kind), root, folder, std::move(pictures));
}

}  // namespace cliplens
