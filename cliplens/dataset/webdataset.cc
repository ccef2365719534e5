#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/python_json.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/tar.h"

namespace cliplens {
namespace {

constexpr Index kMaxTextBytes = Index{1} << 20;  // of a .json, .cls or .txt member

enum Part : std::size_t { kPicture, kMask, kJson, kClass, kCaption, kParts };

// What the name of a member says: "a/22.left.png" is the picture "left." of the key "a/22".
struct MemberName {
  std::string_view key;
  std::string_view variant;  // of the picture, with its dot; mostly empty
  Part part;
};

// webdataset's rule: the key ends at the first dot of the last part of the name, and what stands
// behind the last dot tells how a member is read. Nothing for hidden members and for others that
// are not read.
std::optional<MemberName> ParseMemberName(std::string_view name) {
  const std::string_view base = BaseName(name);
  const std::size_t dot = base.find('.');
  if (dot == std::string_view::npos || dot == 0) return std::nullopt;
  const std::string_view key = name.substr(0, name.size() - base.size() + dot);
  const std::string_view extension = base.substr(dot + 1);
  const std::size_t last = extension.rfind('.');
  std::string_view variant = extension.substr(0, last == std::string_view::npos ? 0 : last + 1);
  const std::string ending = LowerAscii(extension.substr(variant.size()));
  const auto is = [&](Part part) { return MemberName{key, variant, part}; };
  if (ending == "json") return is(kJson);
  if (ending == "cls") return is(kClass);
  if (ending == "txt") return is(kCaption);
  constexpr std::string_view kMaskVariant = "mask.";
  const bool masks = LowerAscii(variant).ends_with(kMaskVariant) &&
                     (variant.size() == kMaskVariant.size() ||
                      variant[variant.size() - kMaskVariant.size() - 1] == '.');
  if (ending == "png" && masks) {
    variant.remove_suffix(kMaskVariant.size());
    return is(kMask);
  }
  if (IsPictureEnding(ending)) return is(kPicture);
  return std::nullopt;
}

class TarSet : public ImageSet {
 public:
  // `tars` are relative to `folder` and sorted.
  TarSet(std::filesystem::path root, const std::filesystem::path& folder,
         const std::vector<std::string>& tars, LeftOut left_out, OnError on_error)
      : root_(std::move(root)), on_error_(on_error), left_out_(std::move(left_out)) {
    for (const std::string& tar : tars) AddShard(tar, FileIn(folder, tar));
    entries_.shrink_to_fit();
    names_.shrink_to_fit();
    if (entries_.empty() && !left_out_.unread.empty()) {
      throw Error(ErrorCode::kCorruptData, "{}: none of its pictures can be read; the first: {}",
                  PathText(root_), left_out_.unread.front().message);
    }
    if (entries_.empty()) {
      const std::vector<std::string> lines = LinesOf(left_out_);
      throw Error(ErrorCode::kNotFound,
                  "{}: no pictures among the {} members of {} tar files; members must be named "
                  "KEY{}{}{}",
                  PathText(root_), members_, tars.size(), kPictureEndingsText,
                  lines.empty() ? "" : "; ", lines.empty() ? "" : lines.front());
    }
    if (shared_keys_ > 0) {
      left_out_.notes.push_back(fmt::format(
          "{} with several pictures, \"{}\" first: each of them is a picture of the set",
          shared_keys_ == 1 ? "1 key" : fmt::format("{} keys", shared_keys_),
          Printable(first_shared_key_)));
    }
  }

  Index size() const override { return static_cast<Index>(entries_.size()); }

  Item item(Index i) const override {
    const Entry& entry = EntryAt(i);
    Item item{.path = Path(entry), .label = std::nullopt};
    Try(item, [&] { ReadAttributes(entry, item); });
    Try(item, [&] {
      if (!item.label && Has(entry, kClass)) item.label = PlainText(entry, kClass);
    });
    Try(item, [&] {
      if (!Has(entry, kCaption)) return;
      std::string caption = PlainText(entry, kCaption);
      if (!item.attributes.contains("caption")) {
        item.attributes["caption"] = std::move(caption);
      } else if (item.attributes["caption"] != caption && !item.attributes.contains("txt")) {
        item.attributes["txt"] = std::move(caption);
      }
    });
    return item;
  }

  std::string path(Index i) const override { return Path(EntryAt(i)); }

  std::vector<std::uint8_t> Read(Index i) const override { return Bytes(EntryAt(i), kPicture); }

  std::optional<PictureExtent> extent(Index i) const override {
    const Entry& entry = EntryAt(i);
    const Extent& picture = entry.parts[kPicture];
    return PictureExtent{
        .file = At(shards_, entry.shard).path, .offset = picture.offset, .size = picture.size};
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    const Entry& entry = EntryAt(i);
    if (!Has(entry, kMask)) return std::nullopt;
    return Bytes(entry, kMask);
  }

  std::string kind() const override { return "webdataset"; }
  std::string root() const override { return root_.string(); }
  LeftOut left_out() const override { return left_out_; }

 private:
  // Where a member's content lies in its shard. Content never starts at 0, where a header is.
  struct Extent {
    Index offset = 0;
    Index size = 0;
  };
  using Extents = std::array<Extent, kParts>;

  struct Entry {
    Extents parts;
    std::size_t name_begin = 0;  // of the picture's name in names_
    std::uint32_t name_size = 0;
    std::uint32_t shard = 0;
  };

  struct Shard {
    std::string name;
    std::filesystem::path path;
  };

  // The members of one variant of one key.
  struct Group {
    std::vector<std::size_t> entries;  // its pictures
    Extents parts;                     // its other members
    std::array<bool, kParts> used = {};
  };
  struct Name {
    std::string key;
    std::string variant;
    auto operator<=>(const Name&) const = default;
  };
  using Groups = std::map<Name, Group>;

  static bool Has(const Entry& entry, Part part) { return entry.parts[part].offset > 0; }

  // Runs `action`, whose Error is the item's problem if attributes may be missing.
  template <typename Action>
  void Try(Item& item, Action action) const {
    try {
      action();
    } catch (const Error& error) {
      if (on_error_ == OnError::kStop || error.code() == ErrorCode::kInternal) throw;
      item.problem += (item.problem.empty() ? "" : "; ") + std::string(error.what());
    }
  }

  void AddShard(const std::string& name, const std::filesystem::path& path) {
    const auto shard = static_cast<std::uint32_t>(shards_.size());
    shards_.push_back({name, path});
    const std::size_t first = entries_.size();
    Groups groups;
    const auto unread = [&](const Error& error, const std::string& what) {
      if (on_error_ == OnError::kStop || error.code() == ErrorCode::kInternal) throw Error(error);
      left_out_.unread.push_back({name, error.what() + what});
    };
    try {
      const RandomAccessFile file(path);
      TarReader reader(file, PathText(path));
      while (const std::optional<TarMember> member = reader.Next()) {
        ++members_;
        try {
          AddMember(*member, file, shard, groups);
        } catch (const Error& error) {
          unread(error, "");
        }
      }
    } catch (const Error& error) {
      unread(error,
             fmt::format("; {} pictures before that place are read", entries_.size() - first));
    }
    ShareParts(groups);
  }

  void AddMember(const TarMember& member, const RandomAccessFile& file, std::uint32_t shard,
                 Groups& groups) {
    const std::string_view full = member.name;
    const std::string_view base = BaseName(full);
    std::optional<MemberName> name = ParseMemberName(full);
    const bool bare = base.find('.') == std::string_view::npos;
    if (bare && BeginsAsPicture(file, member.offset, member.size))
      name = MemberName{full, "", kPicture};
    if (!name) return PassOver(base);
    const bool text = name->part != kPicture && name->part != kMask;
    const Index most = text ? kMaxTextBytes : kMaxPictureBytes;
    if (member.size > most) {
      throw Error(ErrorCode::kExhausted,
                  "{}: \"{}\" has {} bytes, at most {} are read; make it smaller",
                  PathText(shards_[shard].path), Printable(full), member.size, most);
    }
    Group& group = groups[{std::string(name->key), std::string(name->variant)}];
    const Extent extent = {.offset = member.offset, .size = member.size};
    if (name->part != kPicture) {
      if (group.parts[name->part].offset != 0) ThrowTwice(shard, full);
      group.parts[name->part] = extent;
      return;
    }
    const std::string picture = NameText(full);
    for (const std::size_t other : group.entries) {
      if (NameOf(entries_[other]) == picture) ThrowTwice(shard, full);
    }
    group.entries.push_back(entries_.size());
    Entry& entry = entries_.emplace_back();
    entry.shard = shard;
    entry.parts[kPicture] = extent;
    entry.name_begin = names_.size();
    entry.name_size = static_cast<std::uint32_t>(picture.size());
    names_ += picture;
  }

  [[noreturn]] void ThrowTwice(std::uint32_t shard, std::string_view member) const {
    throw Error(ErrorCode::kCorruptData,
                "{}: \"{}\" stands twice in it, or beside another for the same picture; rename or "
                "remove one",
                PathText(shards_[shard].path), Printable(member));
  }

  void PassOver(std::string_view base) {
    if (base.starts_with('.')) {
      left_out_.PassOverHidden(base);
    } else {
      left_out_.PassOver(base);
    }
  }

  // Each picture has the other members of its variant, and those of the key alone where its variant
  // has none. What no picture has is passed over.
  void ShareParts(Groups& groups) {
    const std::string* key = nullptr;  // of the groups before
    Group* plain = nullptr;            // that of the key alone, which comes first
    Index pictures = 0;
    for (auto& [name, group] : groups) {
      if (key == nullptr || name.key != *key) {
        pictures = 0;
        plain = name.variant.empty() ? &group : nullptr;
      }
      key = &name.key;
      for (const std::size_t number : group.entries) {
        if (++pictures == 2 && shared_keys_++ == 0) first_shared_key_ = NameText(name.key);
        Entry& entry = entries_[number];
        for (const Part part : {kMask, kJson, kClass, kCaption}) {
          Group* from = &group;
          if (group.parts[part].offset == 0) from = plain;
          if (from == nullptr) continue;
          entry.parts[part] = from->parts[part];
          from->used[part] = true;
        }
      }
    }
    constexpr std::array<const char*, kParts> kKinds = {"", ".png", ".json", ".cls", ".txt"};
    for (const auto& [name, group] : groups) {
      for (const Part part : {kMask, kJson, kClass, kCaption}) {
        const bool alone = group.parts[part].offset != 0 && !group.used[part];
        if (alone) left_out_.PassOverKind(kKinds[part]);
      }
    }
  }

  const Entry& EntryAt(Index i) const {
    CheckPictureIndex(i, size(), root());
    return At(entries_, i);
  }

  std::string_view NameOf(const Entry& entry) const {
    return std::string_view(names_).substr(entry.name_begin, entry.name_size);
  }

  std::string Path(const Entry& entry) const {
    return shards_[entry.shard].name + "/" + std::string(NameOf(entry));
  }

  // Shards are opened when they are read, since a set may have more of them than files may be open;
  // the last one stays open, for pictures are mostly read one after the other.
  std::shared_ptr<const RandomAccessFile> OpenShard(std::uint32_t shard) const {
    const std::lock_guard lock(mutex_);
    if (open_ == nullptr || open_shard_ != shard) {
      open_ = std::make_shared<const RandomAccessFile>(shards_[shard].path);
      open_shard_ = shard;
    }
    return open_;
  }

  std::vector<std::uint8_t> Bytes(const Entry& entry, Part part) const {
    std::vector<std::uint8_t> bytes(ToSize(entry.parts[part].size));
    OpenShard(entry.shard)->Read(entry.parts[part].offset, bytes);
    return bytes;
  }

  std::string Text(const Entry& entry, Part part) const {
    const std::vector<std::uint8_t> bytes = Bytes(entry, part);
    return {bytes.begin(), bytes.end()};
  }

  void ReadAttributes(const Entry& entry, Item& item) const {
    if (!Has(entry, kJson)) return;
    Json attributes = ParsePythonJson(Text(entry, kJson), item.path + ": attributes");
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

  // A .cls or .txt member without the blanks around it.
  std::string PlainText(const Entry& entry, Part part) const {
    const std::string bytes = Text(entry, part);
    std::string_view text = bytes;
    if (FindInvalidUtf8(text) != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData, "{}: the .{} member is not UTF-8; pack the shard again",
                  Printable(Path(entry), 1024), part == kClass ? "cls" : "txt");
    }
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return "";
    return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
  }

  std::filesystem::path root_;
  OnError on_error_;
  LeftOut left_out_;
  std::vector<Shard> shards_;
  std::vector<Entry> entries_;
  std::string names_;  // of the pictures in their shards, one after the other
  Index members_ = 0;
  Index shared_keys_ = 0;
  std::string first_shared_key_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const RandomAccessFile> open_;
  mutable std::uint32_t open_shard_ = 0;
};

}  // namespace

std::unique_ptr<ImageSet> OpenWebDataset(const std::filesystem::path& root,
                                         const std::filesystem::path& folder,
                                         const std::vector<std::string>& tars, LeftOut left_out,
                                         OnError on_error) {
  return std::make_unique<TarSet>(root, folder, tars, std::move(left_out), on_error);
}

}  // namespace cliplens
