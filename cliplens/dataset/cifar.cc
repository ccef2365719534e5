// CIFAR-10 and CIFAR-100 in their binary archives, unpacked (cifar-10-batches-bin,
// cifar-100-binary). A record is the label (CIFAR-100: coarse, then fine) in a byte each, then
// 32 x 32 pixels as three planes.
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kSide = 32;
constexpr Index kPixels = kSide * kSide;
constexpr Index kMaxNamesBytes = Index{1} << 20;

struct Edition {
  const char* kind;
  Index label_bytes;
  std::array<std::string_view, 5> train;
  std::string_view test;
  std::array<const char*, 2> names;  // of the classes: finest last
  std::size_t names_count;
};

constexpr Edition kTen = {"cifar-10",
                          1,
                          {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                           "data_batch_4.bin", "data_batch_5.bin"},
                          "test_batch.bin",
                          {"batches.meta.txt"},
                          1};
constexpr Edition kHundred = {"cifar-100",
                              2,
                              {"train.bin"},
                              "test.bin",
                              {"coarse_label_names.txt", "fine_label_names.txt"},
                              2};

bool IsTen(const std::filesystem::path& root) {
  return Exists(root / "test_batch.bin") || Exists(root / "data_batch_1.bin");
}

bool IsHundred(const std::filesystem::path& root) {
  return Exists(root / "fine_label_names.txt") ||
         (Exists(root / "train.bin") && Exists(root / "test.bin"));
}

void Need(const std::filesystem::path& root, std::string_view file, const char* kind) {
  if (Exists(root / file)) return;
  throw Error(ErrorCode::kNotFound,
              "{}: looks like {}'s binary archive, but {} is missing; unpack the archive again",
              Name(root), kind, file);
}

std::vector<std::string> ReadNames(const std::filesystem::path& path) {
  const std::string text = ReadTextFile(path, kMaxNamesBytes);
  std::vector<std::string> names;
  ForEachLine(text, Name(path), [&](const Line& line) { names.emplace_back(Trim(line.text)); });
  return names;
}

class CifarSet : public ImageSet {
 public:
  CifarSet(const Edition& edition, std::filesystem::path root, std::string split)
      : edition_(edition), root_(std::move(root)), split_(std::move(split)) {
    for (std::size_t n = 0; n < edition.names_count; ++n) {
      Need(root_, edition.names[n], edition.kind);
      names_.push_back(ReadNames(root_ / edition.names[n]));
    }
    if (split_ != "test") {
      for (const std::string_view file : edition.train) {
        if (!file.empty()) AddFile(file, "train");
      }
    }
    if (split_ != "train") AddFile(edition.test, "test");
  }

  Index size() const override { return files_.back().end; }

  Item item(Index i) const override {
    const Record record = At(i);
    Item item{.path = PathOf(record), .label = std::nullopt};
    const std::size_t last = names_.size() - 1;
    item.label = Label(record, last);
    if (last > 0) item.attributes["coarse"] = Label(record, 0);
    item.attributes["split"] = record.file->split;
    return item;
  }

  std::string path(Index i) const override { return PathOf(At(i)); }

  std::vector<std::uint8_t> Read(Index i) const override {
    const Record record = At(i);
    const auto planes = record.bytes.subspan(static_cast<std::size_t>(edition_.label_bytes));
    Image image{.mode = PixelMode::kRgb,
                .width = kSide,
                .height = kSide,
                .pixels = std::vector<std::uint8_t>(3 * kPixels),
                .palette = {},
                .clear_color = std::nullopt};
    for (std::size_t p = 0; p < kPixels; ++p) {
      for (std::size_t c = 0; c < 3; ++c) image.pixels[3 * p + c] = planes[c * kPixels + p];
    }
    return EncodePng(image);
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    CheckPictureIndex(i, size(), root());
    return std::nullopt;
  }

  std::string kind() const override { return edition_.kind; }
  std::string root() const override { return root_.string(); }
  std::string split() const override { return split_; }

 private:
  struct File {
    std::string name;
    const char* split;
    MappedFile bytes;
    Index begin;  // of its pictures in the set
    Index end;
  };
  struct Record {
    const File* file;
    Index number;  // in its file, from 0
    std::span<const std::uint8_t> bytes;
  };

  Index record_bytes() const { return edition_.label_bytes + 3 * kPixels; }

  void AddFile(std::string_view name, const char* split) {
    Need(root_, name, edition_.kind);
    MappedFile bytes(root_ / name);
    const auto size = static_cast<Index>(bytes.bytes().size());
    if (size == 0 || size % record_bytes() != 0) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: has {} bytes, a multiple of {} (the record of a {} picture) was expected; "
                  "unpack the archive again",
                  Name(root_ / name), size, record_bytes(), edition_.kind);
    }
    const Index begin = files_.empty() ? 0 : files_.back().end;
    files_.push_back(
        {std::string(name), split, std::move(bytes), begin, begin + size / record_bytes()});
  }

  Record At(Index i) const {
    CheckPictureIndex(i, size(), root());
    std::size_t f = 0;
    while (i >= files_[f].end) ++f;
    const Index number = i - files_[f].begin;
    return {&files_[f], number,
            files_[f].bytes.bytes().subspan(static_cast<std::size_t>(number * record_bytes()),
                                            static_cast<std::size_t>(record_bytes()))};
  }

  static std::string PathOf(const Record& record) {
    return fmt::format("{}/{:05d}", record.file->name, record.number);
  }

  const std::string& Label(const Record& record, std::size_t level) const {
    const std::size_t label = record.bytes[level];
    const std::vector<std::string>& names = names_[level];
    if (label >= names.size()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: picture {} has label {}, {} names {} classes; unpack the archive again",
                  Name(root_ / record.file->name), record.number, label, edition_.names[level],
                  names.size());
    }
    return names[label];
  }

  const Edition& edition_;
  std::filesystem::path root_;
  std::string split_;
  std::vector<std::vector<std::string>> names_;  // as Edition::names
  std::vector<File> files_;
};

}  // namespace

bool IsCifar(const std::filesystem::path& root) { return IsTen(root) || IsHundred(root); }

std::unique_ptr<ImageSet> OpenCifar(const std::filesystem::path& root, const std::string& split) {
  if (!split.empty() && split != "train" && split != "test") {
    throw Error(ErrorCode::kNotFound, "{}: CIFAR has the splits train and test, not '{}'",
                Name(root), Printable(split, 80));
  }
  return std::make_unique<CifarSet>(IsTen(root) ? kTen : kHundred, root, split);
}

}  // namespace cliplens
