// CIFAR-10 and CIFAR-100 in their binary archives, as they are published (cifar-10-binary.tar.gz,
// cifar-100-binary.tar.gz) or unpacked (cifar-10-batches-bin, cifar-100-binary). A record is the
// label (CIFAR-100: coarse, then fine) in a byte each, then 32 x 32 pixels as three planes.
#include <array>
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/io/inflate.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/tar.h"

namespace cliplens {
namespace {

constexpr Index kSide = 32;
constexpr Index kPixels = kSide * kSide;
constexpr Index kMaxNamesBytes = Index{1} << 20;
// Both archives unpack to 184.5 million bytes.
constexpr Index kMaxArchiveBytes = Index{192} << 20;

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

// The archive's files by name, wherever they lie.
class Files {
 public:
  virtual ~Files() = default;
  virtual bool Has(std::string_view file) const = 0;
  // The file must be there. The bytes live as long as the object.
  virtual std::span<const std::uint8_t> Bytes(std::string_view file) = 0;
  // For messages: where they lie, and what to do when one is not right.
  virtual std::string NameOf(std::string_view file) const = 0;
  virtual const char* remedy() const = 0;
};

class FolderFiles : public Files {
 public:
  explicit FolderFiles(std::filesystem::path root) : root_(std::move(root)) {}
  bool Has(std::string_view file) const override { return Exists(root_ / file); }
  std::span<const std::uint8_t> Bytes(std::string_view file) override {
    return contents_.emplace_back(ReadFile(root_ / file, kMaxArchiveBytes));
  }
  std::string NameOf(std::string_view file) const override { return PathText(root_ / file); }
  const char* remedy() const override { return "unpack the archive again"; }

 private:
  std::filesystem::path root_;
  std::vector<std::vector<std::uint8_t>> contents_;
};

// A .tar.gz, unpacked in memory.
class ArchiveFiles : public Files {
 public:
  explicit ArchiveFiles(const std::filesystem::path& path)
      : name_(PathText(path)),
        bytes_(Inflate(ReadFile(path, kMaxArchiveBytes), name_, kMaxArchiveBytes)) {
    TarReader tar(bytes_, name_);
    while (const std::optional<TarMember> member = tar.Next()) {
      const std::string base = std::filesystem::path(member->name).filename().string();
      const auto content = std::span<const std::uint8_t>(bytes_).subspan(ToSize(member->offset),
                                                                         ToSize(member->size));
      if (!members_.emplace(base, content).second) {
        throw Error(ErrorCode::kCorruptData, "{}: '{}' stands twice in the archive; {}", name_,
                    Printable(base), remedy());
      }
    }
  }
  bool Has(std::string_view file) const override { return members_.contains(file); }
  std::span<const std::uint8_t> Bytes(std::string_view file) override {
    return members_.find(file)->second;
  }
  std::string NameOf(std::string_view file) const override {
    return fmt::format("{}, {}", name_, file);
  }
  const char* remedy() const override { return "fetch it again"; }

 private:
  std::string name_;
  std::vector<std::uint8_t> bytes_;
  std::map<std::string, std::span<const std::uint8_t>, std::less<>> members_;  // by their last name
};

bool IsTen(const Files& files) { return files.Has(kTen.test) || files.Has(kTen.train[0]); }

bool IsHundred(const Files& files) {
  return files.Has(kHundred.names[1]) || (files.Has(kHundred.train[0]) && files.Has(kHundred.test));
}

class CifarSet : public ImageSet {
 public:
  CifarSet(const Edition& edition, std::unique_ptr<Files> files, std::filesystem::path root,
           std::string split)
      : edition_(edition),
        contents_(std::move(files)),
        root_(std::move(root)),
        split_(std::move(split)) {
    for (std::size_t n = 0; n < edition.names_count; ++n) names_.push_back(Names(edition.names[n]));
    if (split_ != "test") {
      for (const std::string_view file : edition.train) {
        if (!file.empty()) AddFile(file, "train");
      }
    }
    if (split_ != "train") AddFile(edition.test, "test");
  }

  Index size() const override { return files_.back().end; }

  Item item(Index i) const override {
    const Record record = RecordAt(i);
    Item item{.path = PathOf(record), .label = std::nullopt};
    const std::size_t last = names_.size() - 1;
    item.label = Label(record, last);
    if (last > 0) item.attributes["coarse"] = Label(record, 0);
    item.attributes["split"] = record.file->split;
    return item;
  }

  std::string path(Index i) const override { return PathOf(RecordAt(i)); }

  std::vector<std::uint8_t> Read(Index i) const override {
    const Record record = RecordAt(i);
    const auto planes = record.bytes.subspan(ToSize(edition_.label_bytes));
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
    std::span<const std::uint8_t> bytes;
    Index begin;  // of its pictures in the set
    Index end;
  };
  struct Record {
    const File* file;
    Index number;  // in its file, from 0
    std::span<const std::uint8_t> bytes;
  };

  Index record_bytes() const { return edition_.label_bytes + 3 * kPixels; }

  std::span<const std::uint8_t> Need(std::string_view file) {
    if (contents_->Has(file)) return contents_->Bytes(file);
    throw Error(ErrorCode::kNotFound, "{}: looks like {}'s binary archive, but {} is missing; {}",
                PathText(root_), edition_.kind, file, contents_->remedy());
  }

  std::vector<std::string> Names(std::string_view file) {
    const std::span<const std::uint8_t> bytes = Need(file);
    const std::string name = contents_->NameOf(file);
    if (static_cast<Index>(bytes.size()) > kMaxNamesBytes) {
      throw Error(ErrorCode::kExhausted, "{}: has {} bytes, at most {} are read; {}", name,
                  bytes.size(), kMaxNamesBytes, contents_->remedy());
    }
    std::vector<std::string> names;
    ForEachLine(std::string(bytes.begin(), bytes.end()), name,
                [&](const Line& line) { names.emplace_back(Trim(line.text)); });
    return names;
  }

  void AddFile(std::string_view name, const char* split) {
    const std::span<const std::uint8_t> bytes = Need(name);
    const auto size = static_cast<Index>(bytes.size());
    if (size == 0 || size % record_bytes() != 0) {
      throw Error(
          ErrorCode::kCorruptData,
          "{}: has {} bytes, a multiple of {} (the record of a {} picture) was expected; {}",
          contents_->NameOf(name), size, record_bytes(), edition_.kind, contents_->remedy());
    }
    const Index begin = files_.empty() ? 0 : files_.back().end;
    files_.push_back({std::string(name), split, bytes, begin, begin + size / record_bytes()});
  }

  Record RecordAt(Index i) const {
    CheckPictureIndex(i, size(), root());
    std::size_t f = 0;
    while (i >= files_[f].end) ++f;
    const Index number = i - files_[f].begin;
    return {&files_[f], number,
            files_[f].bytes.subspan(ToSize(number * record_bytes()), ToSize(record_bytes()))};
  }

  static std::string PathOf(const Record& record) {
    return fmt::format("{}/{:05d}", record.file->name, record.number);
  }

  const std::string& Label(const Record& record, std::size_t level) const {
    const std::size_t label = record.bytes[level];
    const std::vector<std::string>& names = names_[level];
    if (label >= names.size()) {
      throw Error(ErrorCode::kCorruptData, "{}: picture {} has label {}, {} names {} classes; {}",
                  contents_->NameOf(record.file->name), record.number, label, edition_.names[level],
                  names.size(), contents_->remedy());
    }
    return names[label];
  }

  const Edition& edition_;
  std::unique_ptr<Files> contents_;
  std::filesystem::path root_;
  std::string split_;
  std::vector<std::vector<std::string>> names_;  // as Edition::names
  std::vector<File> files_;
};

}  // namespace

bool IsCifar(const std::filesystem::path& root) {
  const FolderFiles files(root);
  return IsTen(files) || IsHundred(files);
}

std::unique_ptr<ImageSet> OpenCifar(const std::filesystem::path& root, const std::string& split) {
  if (!split.empty() && split != "train" && split != "test") {
    throw Error(ErrorCode::kNotFound, "{}: CIFAR has the splits train and test, not '{}'",
                PathText(root), Printable(split, 80));
  }
  std::unique_ptr<Files> files;
  if (std::filesystem::is_directory(root)) {
    files = std::make_unique<FolderFiles>(root);
  } else {
    files = std::make_unique<ArchiveFiles>(root);
  }
  if (!IsTen(*files) && !IsHundred(*files)) {
    throw Error(ErrorCode::kUnsupported,
                "{}: has neither {} nor {} in it; of packed archives only CIFAR's binary versions "
                "are read (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz), unpack any other",
                PathText(root), kTen.test, kHundred.names[1]);
  }
  const Edition& edition = IsTen(*files) ? kTen : kHundred;
  return std::make_unique<CifarSet>(edition, std::move(files), root, split);
}

}  // namespace cliplens
