// Caltech-UCSD Birds-200-2011: images.txt, image_class_labels.txt, classes.txt,
// train_test_split.txt and the folder images, as its archive unpacks (CUB_200_2011).
#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/listed_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kMaxCubListBytes = Index{64} << 20;

// Lines "KEY VALUE".
class Pairs {
 public:
  Pairs(const std::filesystem::path& root, const char* file)
      : name_(PathText(root / file)), text_(Content(root, file)) {
    ForEachLine(text_, name_, [&](const Line& line) {
      const std::string_view pair = Trim(line.text);
      const std::size_t blank = pair.find(' ');
      if (blank == std::string_view::npos) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: line {}: \"{}\" is not a number, a blank and a value", name_, line.number,
                    Printable(pair, 80));
      }
      const std::string_view key = pair.substr(0, blank);
      order_.push_back(key);
      if (!value_of_.emplace(key, Trim(pair.substr(blank + 1))).second) {
        throw Error(ErrorCode::kCorruptData, "{}: line {}: {} stands twice", name_, line.number,
                    Printable(key, 80));
      }
    });
  }

  const std::vector<std::string_view>& keys() const { return order_; }

  std::string_view Of(std::string_view key) const {
    const auto found = value_of_.find(key);
    if (found == value_of_.end()) {
      throw Error(ErrorCode::kCorruptData, "{}: has no line for {}; unpack the archive again",
                  name_, Printable(key, 80));
    }
    return found->second;
  }

 private:
  static std::string Content(const std::filesystem::path& root, const char* file) {
    if (!Exists(root / file)) {
      throw Error(ErrorCode::kNotFound,
                  "{}: looks like CUB-200-2011, but {} is missing; images.txt, "
                  "image_class_labels.txt, classes.txt, train_test_split.txt and the folder images "
                  "are needed",
                  PathText(root), file);
    }
    return ReadTextFile(root / file, kMaxCubListBytes);
  }

  std::string name_;
  std::string text_;
  std::vector<std::string_view> order_;
  std::map<std::string_view, std::string_view> value_of_;
};

}  // namespace

bool IsCub(const std::filesystem::path& root) {
  return Exists(root / "images.txt") &&
         (Exists(root / "image_class_labels.txt") || Exists(root / "classes.txt"));
}

std::unique_ptr<ImageSet> OpenCub(const std::filesystem::path& root, const std::string& split) {
  const Pairs images(root, "images.txt");
  const Pairs labels(root, "image_class_labels.txt");
  const Pairs classes(root, "classes.txt");
  const Pairs splits(root, "train_test_split.txt");
  if (!Exists(root / "images")) {
    throw Error(ErrorCode::kNotFound,
                "{}: looks like CUB-200-2011, but the folder images is missing; unpack the archive "
                "again",
                PathText(root));
  }
  TextTable table({"path", "label", "species", "split"});
  for (const std::string_view key : images.keys()) {
    const std::string path = "images/" + std::string(images.Of(key));
    const std::string_view label = classes.Of(labels.Of(key));
    // "017.Cardinal_Bird": a number, and the name with its blanks written so.
    std::string species(label.substr(std::min(label.find('.') + 1, label.size())));
    for (char& c : species) c = c == '_' ? ' ' : c;
    const std::string_view train = splits.Of(key);
    if (train != "0" && train != "1") {
      throw Error(
          ErrorCode::kCorruptData, "{}: picture {} has '{}', 1 (train) or 0 (test) was expected",
          PathText(root / "train_test_split.txt"), Printable(key, 40), Printable(train, 40));
    }
    const std::array<std::string_view, 4> row = {path, label, species,
                                                 train == "1" ? "train" : "test"};
    table.AddRow(row);
  }
  return OpenPictureTable({.kind = "cub",
                           .root = root,
                           .folder = root,
                           .split = split,
                           .table = RowsOfSplit(std::move(table), 3, split, PathText(root)),
                           .path = 0,
                           .label = 1,
                           .mask_ignore = std::nullopt});
}

}  // namespace cliplens
