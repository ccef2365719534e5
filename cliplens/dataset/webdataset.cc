#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/tar.h"

namespace cliplens {
namespace {

constexpr std::string_view kMaskMember = "mask.png";
constexpr Index kMaxTextBytes = Index{1} << 20;  // of a .json, .cls or .txt member

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
                  PathText(root_), members_, tars.size(), kPictureEndingsText);
    }
  }

  Index size() const override { return static_cast<Index>(entries_.size()); }

  Item item(Index i) const override {
    const Entry& entry = EntryAt(i);
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

  std::string path(Index i) const override { return Path(EntryAt(i)); }

  std::vector<std::uint8_t> Read(Index i) const override { return Copy(EntryAt(i), kPicture); }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    const Entry& entry = EntryAt(i);
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
    if (ending == kMaskMember) return kMask;
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
    TarReader reader(shards_.back().file.bytes(), PathText(path));
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
        throw Error(ErrorCode::kCorruptData,
                    "{}: \"{}\" and \"{}\" are for one item, which has room for one of them; "
                    "rename or remove one",
                    PathText(path), Printable(before), Printable(full));
      }
      const bool text = *part == kJson || *part == kClass || *part == kCaption;
      const Index most = text ? kMaxTextBytes : kMaxPictureBytes;
      if (member->size > most) {
        throw Error(ErrorCode::kExhausted,
                    "{}: \"{}\" has {} bytes, at most {} are read; make it smaller", PathText(path),
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

  const Entry& EntryAt(Index i) const {
    CheckPictureIndex(i, size(), root());
    return At(entries_, i);
  }

  std::string Path(const Entry& entry) const {
    return shards_[entry.shard].name + "/" + names_.substr(entry.name_begin, entry.name_size);
  }

  std::span<const std::uint8_t> Bytes(const Entry& entry, Part part) const {
    const Extent extent = entry.parts[part];
    return shards_[entry.shard].file.bytes().subspan(ToSize(extent.offset), ToSize(extent.size));
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

std::unique_ptr<ImageSet> OpenWebDataset(const std::filesystem::path& root,
                                         const std::filesystem::path& folder,
                                         const std::vector<std::string>& tars) {
  return std::make_unique<TarSet>(root, folder, tars);
}

}  // namespace cliplens
