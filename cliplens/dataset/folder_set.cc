#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/dataset/picture_rows.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr std::string_view kMaskEnding = "mask.png";

// The parts before the first and the second slash; empty where there are fewer.
std::pair<std::string_view, std::string_view> Folders(std::string_view path) {
  const std::size_t first = path.find('/');
  if (first == std::string_view::npos) return {};
  const std::size_t second = path.find('/', first + 1);
  if (second == std::string_view::npos) return {path.substr(0, first), {}};
  return {path.substr(0, first), path.substr(first + 1, second - first - 1)};
}

// "train", "val" or "test" for the names that people give these folders; empty for others.
std::string_view SplitOf(std::string_view folder) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kNames = {
      {{"train", "train"},
       {"training", "train"},
       {"val", "val"},
       {"valid", "val"},
       {"validation", "val"},
       {"dev", "val"},
       {"test", "test"},
       {"testing", "test"},
       {"eval", "test"},
       {"evaluation", "test"}}};
  const std::string lower = LowerAscii(folder);
  const auto* found = std::ranges::find(kNames, lower, [](const auto& name) { return name.first; });
  return found == kNames.end() ? std::string_view() : found->second;
}

bool AreInSplits(const std::vector<std::string>& pictures) {
  return std::ranges::all_of(
      pictures, [](const std::string& path) { return !SplitOf(Folders(path).first).empty(); });
}

// The pictures of a split whose folder has this name, or another name of the same split.
std::vector<std::string> PicturesOfSplit(const std::vector<std::string>& pictures,
                                         const std::string& split,
                                         const std::filesystem::path& root) {
  const std::string_view known = SplitOf(split);
  std::vector<std::string> kept;
  std::ranges::copy_if(pictures, std::back_inserter(kept), [&](const std::string& path) {
    const std::string_view folder = Folders(path).first;
    return folder == split || (!known.empty() && SplitOf(folder) == known);
  });
  if (kept.empty()) {
    std::set<std::string> splits;
    for (const std::string& path : pictures) splits.insert(Printable(Folders(path).first, 40));
    throw Error(ErrorCode::kNotFound, "{}: no picture is of the split '{}'; there are: {}",
                PathText(root), Printable(split, 80), fmt::join(splits, ", "));
  }
  return kept;
}

// What the tables in a folder say of its pictures, as Hugging Face's image folders have them:
// metadata.csv, .jsonl or .parquet, with the path of a picture beside or below it in each row.
class FolderTables {
 public:
  // `tables` are relative to `folder`; they and `pictures` are sorted.
  FolderTables(const std::filesystem::path& folder, const std::vector<std::string>& tables,
               const std::vector<std::string>& pictures, OnError on_error, LeftOut& left_out) {
    std::set<std::string> folders;
    for (const std::string& path : tables) {
      // Of several tables in one folder the first is read; the others hold the same, as a rule.
      const std::string before = path.substr(0, path.size() - BaseName(path).size());
      if (folders.contains(before)) {
        left_out.PassOver(path);
        continue;
      }
      try {
        if (Add(folder, path, pictures, left_out)) {
          folders.insert(before);
        } else {
          left_out.PassOver(path);
        }
      } catch (const Error& error) {
        if (on_error == OnError::kStop || error.code() == ErrorCode::kInternal) throw;
        left_out.unread.push_back({path, error.what()});
      }
    }
  }

  // Says how many of the pictures no table names.
  void CheckWhole(const std::vector<std::string>& pictures, LeftOut& left_out) const {
    if (tables_.empty()) return;
    const Index without =
        std::ranges::count_if(pictures, [&](const std::string& p) { return Find(p) == nullptr; });
    if (without == 0) return;
    left_out.notes.push_back(fmt::format("{} of {} pictures have no row in {}", without,
                                         pictures.size(), NamesOfTables()));
  }

  // Label and attributes of a picture that a table names.
  void Fill(const std::string& path, Item& item) const {
    const Place* place = Find(path);
    if (place == nullptr) return;
    const PictureRows& rows = tables_[place->table].rows;
    if (const auto label = rows.label(place->picture)) item.label = *label;
    const Json attributes = rows.attributes(place->picture);
    for (const auto& [name, value] : attributes.items()) item.attributes[name] = value;
  }

 private:
  struct Table {
    std::string name;
    PictureRows rows;
  };
  struct Place {
    std::size_t table;
    Index picture;
  };

  const Place* Find(const std::string& path) const {
    const auto found = place_of_.find(path);
    return found == place_of_.end() ? nullptr : &found->second;
  }

  std::string NamesOfTables() const {
    std::string names;
    for (const Table& table : tables_) {
      names += (names.empty() ? "" : ", ") + Printable(table.name);
    }
    return Printable(names, 400);
  }

  // False for a table that names no pictures.
  bool Add(const std::filesystem::path& folder, const std::string& path,
           const std::vector<std::string>& pictures, LeftOut& left_out) {
    const std::filesystem::path file = FileIn(folder, path);
    TextTable table = ReadTextTable(file);
    const PictureColumns columns = {
        .path = FindPathColumn(table, ""), .label = table.Find("label"), .mask = -1, .split = -1};
    if (columns.path < 0) return false;
    const std::vector<std::string> notes = table.notes();
    PictureRows rows(std::move(table), columns, PathText(file));
    left_out.notes.insert(left_out.notes.end(), notes.begin(), notes.end());
    const std::string before = path.substr(0, path.size() - BaseName(path).size());
    Index unknown = 0;
    for (Index p = 0; p < rows.size(); ++p) {
      std::string picture = before + std::string(rows.path(p));
      if (std::ranges::binary_search(pictures, picture)) {
        // The table that lies nearest to a picture tells of it; it is the last of those above it.
        place_of_.insert_or_assign(std::move(picture), Place{tables_.size(), p});
      } else {
        ++unknown;
      }
    }
    if (unknown > 0) {
      left_out.notes.push_back(fmt::format("{}: {} of {} rows name no picture that is there",
                                           PathText(file), unknown, rows.size()));
    }
    if (rows.joined() > 0) {
      left_out.notes.push_back(fmt::format(
          "{}: {} of {} rows name a picture again; cells of one picture that differ are lists",
          PathText(file), rows.joined(), rows.table().rows()));
    }
    tables_.push_back({path, std::move(rows)});
    return true;
  }

  std::vector<Table> tables_;
  std::map<std::string, Place, std::less<>> place_of_;
};

// Pictures in files, one or a folder of them.
class FileSet : public ImageSet {
 public:
  FileSet(std::string kind, std::filesystem::path root, std::filesystem::path folder,
          Listing listing, const ImageSetOptions& options)
      : kind_(std::move(kind)),
        root_(std::move(root)),
        folder_(std::move(folder)),
        split_(options.split),
        left_out_(std::move(listing.left_out)),
        tables_(folder_, listing.tables, listing.pictures, options.on_error, left_out_),
        in_splits_(root_ == folder_ && AreInSplits(listing.pictures)) {
    std::vector<std::string> pictures = std::move(listing.pictures);
    if (in_splits_ && !split_.empty()) pictures = PicturesOfSplit(pictures, split_, root_);
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
    tables_.CheckWhole(paths_, left_out_);
  }

  Index size() const override { return static_cast<Index>(paths_.size()); }

  Item item(Index i) const override {
    Item item{.path = Path(i), .label = std::nullopt};
    const auto [first, second] = Folders(item.path);
    const std::string_view label = in_splits_ ? second : first;
    if (!label.empty()) item.label = label;
    if (in_splits_) item.attributes["split"] = std::string(first);
    tables_.Fill(item.path, item);
    return item;
  }

  std::string path(Index i) const override { return Path(i); }

  std::vector<std::uint8_t> Read(Index i) const override {
    return ReadFile(FileIn(folder_, Path(i)), kMaxPictureBytes, Kind());
  }

  std::optional<PictureExtent> extent(Index i) const override {
    std::filesystem::path file = FileIn(folder_, Path(i));
    std::error_code ignored;
    // What comes out of a command is read once, by the set.
    const bool pipe = Kind() != FileKind::kRegular && std::filesystem::is_fifo(file, ignored);
    if (pipe) return std::nullopt;
    return PictureExtent{.file = std::move(file)};
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    CheckPictureIndex(i, size(), root());
    const auto found = masks_.find(i);
    if (found == masks_.end()) return std::nullopt;
    return ReadFile(FileIn(folder_, found->second), kMaxPictureBytes, Kind());
  }

  std::string kind() const override { return kind_; }
  std::string root() const override { return root_.string(); }
  std::string split() const override { return in_splits_ ? split_ : ""; }
  LeftOut left_out() const override { return left_out_; }

 private:
  // The user may name what comes out of a command; in a folder nothing but files is read.
  FileKind Kind() const { return root_ == folder_ ? FileKind::kRegular : FileKind::kRegularOrPipe; }

  const std::string& Path(Index i) const {
    CheckPictureIndex(i, size(), root());
    return At(paths_, i);
  }

  std::string kind_;
  std::filesystem::path root_;    // as the user gave it
  std::filesystem::path folder_;  // that the paths are relative to
  std::string split_;
  LeftOut left_out_;
  FolderTables tables_;
  bool in_splits_;
  std::vector<std::string> paths_;
  std::map<Index, std::string> masks_;
};

}  // namespace

std::unique_ptr<ImageSet> OpenPictureFiles(std::string kind, const std::filesystem::path& root,
                                           const std::filesystem::path& folder, Listing listing,
                                           const ImageSetOptions& options) {
  return std::make_unique<FileSet>(std::move(kind), root, folder, std::move(listing), options);
}

}  // namespace cliplens
