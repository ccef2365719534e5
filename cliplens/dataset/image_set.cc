#include "cliplens/dataset/image_set.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/tar.h"

namespace cliplens {
namespace {

constexpr std::array<std::string_view, 4> kPictureEndings = {"jpg", "jpeg", "png", "webp"};
constexpr const char* kPictureEndingsText = ".jpg, .jpeg, .png or .webp";
constexpr std::string_view kMaskEnding = "mask.png";
constexpr Index kMaxPictureBytes = Index{1} << 30;
constexpr Index kMaxTextBytes = Index{1} << 20;  // of a .json, .cls or .txt member

std::string Name(const std::filesystem::path& path) { return Printable(path.native(), 1024); }

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsPictureEnding(std::string_view lower) {
  return std::find(kPictureEndings.begin(), kPictureEndings.end(), lower) != kPictureEndings.end();
}

std::string_view BaseName(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// What follows the last dot of the file's name, in lower case; empty without one.
std::string LastEnding(std::string_view path) {
  const std::string_view base = BaseName(path);
  const std::size_t dot = base.rfind('.');
  return dot == std::string_view::npos ? "" : LowerAscii(base.substr(dot + 1));
}

void CheckIndex(Index i, Index size, const std::string& root) {
  if (i < 0 || i >= size) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: picture {} was asked for, the set has {}; count from 0", Printable(root, 1024),
                i, size);
  }
}

// --- Folders ------------------------------------------------------------------------------------

// Paths relative to the root, with '/' between the parts.
struct Listing {
  std::vector<std::string> pictures;
  std::vector<std::string> tars;
  Index others = 0;
};

class Walker {
 public:
  explicit Walker(std::filesystem::path root) : root_(std::move(root)) {}

  // Folders proper come before links to folders, and each folder is listed once, so that links
  // that form loops or lattices cost nothing and a link never takes a folder's files from it.
  Listing Walk() {
    MarkAncestors();
    std::vector<std::string> folders = {""};
    while (!folders.empty() || !links_.empty()) {
      if (folders.empty()) {
        // The links found so far, in order of path.
        folders.assign(links_.rbegin(), links_.rend());
        links_.clear();
      }
      const std::string folder = std::move(folders.back());
      folders.pop_back();
      if (MarkVisited(folder)) List(folder, &folders);
    }
    std::sort(listing_.pictures.begin(), listing_.pictures.end());
    std::sort(listing_.tars.begin(), listing_.tars.end());
    return std::move(listing_);
  }

 private:
  std::filesystem::path Full(const std::string& relative) const {
    return relative.empty() ? root_ : root_ / relative;
  }

  // A link to a folder that holds the root would bring in everything around it.
  void MarkAncestors() {
    std::error_code code;
    std::filesystem::path folder = std::filesystem::canonical(root_, code);
    if (code) ThrowFileError(root_, "cannot list", code.value());
    while (folder != folder.root_path()) {
      folder = folder.parent_path();
      struct stat status;
      if (::stat(folder.c_str(), &status) == 0) visited_.emplace(status.st_dev, status.st_ino);
    }
  }

  // False when the folder was listed before, under whatever path.
  bool MarkVisited(const std::string& folder) {
    struct stat status;
    const std::filesystem::path full = Full(folder);
    if (::stat(full.c_str(), &status) != 0) ThrowFileError(full, "cannot list", errno);
    return visited_.emplace(status.st_dev, status.st_ino).second;
  }

  void List(const std::string& folder, std::vector<std::string>* folders) {
    const std::filesystem::path full = Full(folder);
    std::error_code code;
    std::filesystem::directory_iterator entry(full, code);
    for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
      const std::string base = entry->path().filename().string();
      if (base.starts_with('.')) continue;
      const std::string relative = folder.empty() ? base : folder + "/" + base;
      std::error_code ignored;  // a link to nothing is no picture
      const std::filesystem::file_status status = entry->status(ignored);
      if (std::filesystem::is_directory(status)) {
        if (entry->is_symlink(ignored)) {
          links_.insert(relative);
        } else {
          folders->push_back(relative);
        }
      } else if (std::filesystem::is_regular_file(status)) {
        const std::string ending = LastEnding(base);
        if (IsPictureEnding(ending)) {
          listing_.pictures.push_back(relative);
        } else if (ending == "tar") {
          listing_.tars.push_back(relative);
        } else {
          ++listing_.others;
        }
      }
    }
    if (code) ThrowFileError(full, "cannot list", code.value());
  }

  std::filesystem::path root_;
  Listing listing_;
  std::set<std::pair<dev_t, ino_t>> visited_;
  std::set<std::string> links_;
};

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
    CheckIndex(i, size(), root());
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
    CheckIndex(i, size(), root());
    return paths_[static_cast<std::size_t>(i)];
  }

  std::string kind_;
  std::filesystem::path root_;    // as the user gave it
  std::filesystem::path folder_;  // that the paths are relative to
  std::vector<std::string> paths_;
  std::map<Index, std::string> masks_;
};

// --- WebDataset ---------------------------------------------------------------------------------

class TarSet : public ImageSet {
 public:
  // `tars` are relative to `folder` and sorted.
  TarSet(std::filesystem::path root, const std::filesystem::path& folder,
         const std::vector<std::string>& tars)
      : root_(std::move(root)) {
    for (const std::string& tar : tars) AddShard(tar, folder / tar);
    entries_.shrink_to_fit();
    names_.shrink_to_fit();
    if (entries_.empty()) {
      throw Error(ErrorCode::kNotFound,
                  "{}: no pictures among the {} members of {} tar files; members must be named "
                  "KEY{} with no other dot",
                  Name(root_), members_, tars.size(), kPictureEndingsText);
    }
  }

  Index size() const override { return static_cast<Index>(entries_.size()); }

  Item item(Index i) const override {
    const Entry& entry = At(i);
    Item item{.path = Path(entry), .label = std::nullopt};
    if (entry.parts[kJson].offset > 0) {
      const std::string name = item.path + ": attributes";
      Json attributes = ParseJson(Text(entry, kJson), name);
      if (!attributes.is_object()) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: the .json member is a JSON {}, an object is wanted; pack the shard again",
                    Printable(item.path, 1024), attributes.type_name());
      }
      if (const auto label = attributes.find("label"); label != attributes.end()) {
        if (label->is_string()) item.label = label->get<std::string>();
        if (label->is_number()) item.label = DumpJson(*label);
      }
      item.attributes = std::move(attributes);
    }
    if (!item.label && entry.parts[kClass].offset > 0) item.label = PlainText(entry, kClass);
    if (entry.parts[kCaption].offset > 0 && !item.attributes.contains("caption")) {
      item.attributes["caption"] = PlainText(entry, kCaption);
    }
    return item;
  }

  std::string path(Index i) const override { return Path(At(i)); }

  std::vector<std::uint8_t> Read(Index i) const override { return Copy(At(i), kPicture); }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    const Entry& entry = At(i);
    if (entry.parts[kMask].offset == 0) return std::nullopt;
    return Copy(entry, kMask);
  }

  std::string kind() const override { return "webdataset"; }
  std::string root() const override { return root_.string(); }

 private:
  enum Part : std::size_t { kPicture, kMask, kJson, kClass, kCaption, kParts };

  // Where a member's content lies in its shard. Content never starts at 0, where a header is.
  struct Extent {
    Index offset = 0;
    Index size = 0;
  };

  struct Entry {
    std::array<Extent, kParts> parts;
    std::size_t name_begin = 0;  // of the picture's name in names_
    std::uint32_t name_size = 0;
    std::uint32_t shard = 0;
  };

  struct Shard {
    std::string name;
    MappedFile file;
  };

  static std::optional<Part> PartOf(const std::string& ending) {
    if (IsPictureEnding(ending)) return kPicture;
    if (ending == kMaskEnding) return kMask;
    if (ending == "json") return kJson;
    if (ending == "cls") return kClass;
    if (ending == "txt") return kCaption;
    return std::nullopt;
  }

  void AddShard(const std::string& name, const std::filesystem::path& path) {
    const auto shard = static_cast<std::uint32_t>(shards_.size());
    shards_.push_back({name, MappedFile(path)});
    const std::size_t first = entries_.size();
    std::map<std::string, std::size_t, std::less<>> entry_of;  // by key
    TarReader reader(shards_.back().file.bytes(), Name(path));
    while (const std::optional<TarMember> member = reader.Next()) {
      ++members_;
      const std::string_view full = member->name;
      const std::string_view base = BaseName(full);
      const std::size_t dot = base.find('.');
      if (dot == std::string_view::npos || dot == 0) continue;  // without ending, or hidden
      const std::optional<Part> part = PartOf(LowerAscii(base.substr(dot + 1)));
      if (!part) continue;
      const std::string_view key = full.substr(0, full.size() - base.size() + dot);
      auto found = entry_of.find(key);
      if (found == entry_of.end()) {
        found = entry_of.emplace(key, entries_.size()).first;
        entries_.emplace_back().shard = shard;
      }
      Entry& entry = entries_[found->second];
      if (entry.parts[*part].offset != 0) {
        const std::string before =
            *part == kPicture ? names_.substr(entry.name_begin, entry.name_size) : member->name;
        throw Error(
            ErrorCode::kCorruptData,
            "{}: \"{}\" and \"{}\" are for one item, which has room for one of them; rename "
            "or remove one",
            Name(path), Printable(before), Printable(full));
      }
      const bool text = *part == kJson || *part == kClass || *part == kCaption;
      const Index most = text ? kMaxTextBytes : kMaxPictureBytes;
      if (member->size > most) {
        throw Error(ErrorCode::kExhausted,
                    "{}: \"{}\" has {} bytes, at most {} are read; make it smaller", Name(path),
                    Printable(full), member->size, most);
      }
      entry.parts[*part] = {.offset = member->offset, .size = member->size};
      if (*part == kPicture) {
        entry.name_begin = names_.size();
        entry.name_size = static_cast<std::uint32_t>(full.size());
        names_ += full;
      }
    }
    shards_.back().file.Release();
    const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first);
    entries_.erase(std::remove_if(begin, entries_.end(),
                                  [](const Entry& e) { return e.parts[kPicture].offset == 0; }),
                   entries_.end());
  }

  const Entry& At(Index i) const {
    CheckIndex(i, size(), root());
    return entries_[static_cast<std::size_t>(i)];
  }

  std::string Path(const Entry& entry) const {
    return shards_[entry.shard].name + "/" + names_.substr(entry.name_begin, entry.name_size);
  }

  std::span<const std::uint8_t> Bytes(const Entry& entry, Part part) const {
    const Extent extent = entry.parts[part];
    return shards_[entry.shard].file.bytes().subspan(static_cast<std::size_t>(extent.offset),
                                                     static_cast<std::size_t>(extent.size));
  }

  std::vector<std::uint8_t> Copy(const Entry& entry, Part part) const {
    const std::span<const std::uint8_t> bytes = Bytes(entry, part);
    std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
    if (copies_.fetch_add(1, std::memory_order_relaxed) % kReleaseEvery == 0) {
      shards_[entry.shard].file.Release();
    }
    return copy;
  }

  std::string_view Text(const Entry& entry, Part part) const {
    const std::span<const std::uint8_t> bytes = Bytes(entry, part);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A .cls or .txt member without the blanks around it.
  std::string PlainText(const Entry& entry, Part part) const {
    std::string_view text = Text(entry, part);
    if (FindInvalidUtf8(text) != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData, "{}: the .{} member is not UTF-8; pack the shard again",
                  Printable(Path(entry), 1024), part == kClass ? "cls" : "txt");
    }
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return "";
    return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
  }

  static constexpr unsigned kReleaseEvery = 64;

  std::filesystem::path root_;
  std::vector<Shard> shards_;
  mutable std::atomic<unsigned> copies_{0};
  std::vector<Entry> entries_;
  std::string names_;  // of the pictures in their shards, one after the other
  Index members_ = 0;
};

}  // namespace

std::unique_ptr<ImageSet> OpenImageSet(const std::filesystem::path& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  // Only what is known to be missing is said to be; a path that is too long, or without permission,
  // has its own message.
  if (status.type() == std::filesystem::file_type::none) {
    ThrowFileError(path, "cannot open", code.value());
  }
  if (!std::filesystem::exists(status)) {
    throw Error(ErrorCode::kNotFound,
                "{}: is not there; name a picture, a folder of pictures, or .tar shards",
                Name(path));
  }
  if (!std::filesystem::is_directory(status)) {
    const std::string base = path.filename().string();
    const std::string ending = LastEnding(base);
    const std::filesystem::path folder = path.parent_path();
    if (ending == "tar") return std::make_unique<TarSet>(path, folder, std::vector{base});
    if (IsPictureEnding(ending)) {
      return std::make_unique<FileSet>("picture", path, folder, std::vector{base});
    }
    throw Error(
        ErrorCode::kInvalidArgument,
        "{}: ends in neither {} nor .tar; name a picture, a folder of pictures, or .tar shards",
        Name(path), kPictureEndingsText);
  }

  Listing listing = Walker(path).Walk();
  if (!listing.tars.empty() && !listing.pictures.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "{}: has both pictures ({} of them, \"{}\" first) and tar files ({}, \"{}\" first); "
        "name a folder with one kind only",
        Name(path), listing.pictures.size(), Printable(listing.pictures.front()),
        listing.tars.size(), Printable(listing.tars.front()));
  }
  if (!listing.tars.empty()) return std::make_unique<TarSet>(path, path, listing.tars);
  if (listing.pictures.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: no pictures in it or below; looked for {} and for .tar, found {} other files",
                Name(path), kPictureEndingsText, listing.others);
  }
  return std::make_unique<FileSet>("folder", path, path, std::move(listing.pictures));
}

}  // namespace cliplens
