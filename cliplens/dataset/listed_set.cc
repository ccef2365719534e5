#include "cliplens/dataset/listed_set.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

class ListedSet : public ImageSet {
 public:
  explicit ListedSet(PictureTable pictures) : p_(std::move(pictures)) {
    if (size() == 0) {
      throw Error(ErrorCode::kNotFound, "{}: lists no pictures; one row for each is wanted",
                  PathText(p_.root));
    }
    std::vector<Index> order(ToSize(size()));
    for (Index r = 0; r < size(); ++r) {
      At(order, r) = r;
      CheckPath(r, p_.path);
      if (p_.mask >= 0 && !p_.table.cell(r, p_.mask).empty()) CheckPath(r, p_.mask);
    }
    std::ranges::sort(order, {}, [&](Index r) { return std::pair(Path(r), r); });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (Path(order[i]) != Path(order[i - 1])) continue;
      throw Error(ErrorCode::kCorruptData,
                  "{}: rows {} and {} both name the picture \"{}\"; each may stand once",
                  PathText(p_.root), order[i - 1] + 1, order[i] + 1, Printable(Path(order[i])));
    }
  }

  Index size() const override { return p_.table.rows(); }

  Item item(Index i) const override {
    CheckPictureIndex(i, size(), root());
    Item item{.path = std::string(Path(i)), .label = std::nullopt};
    if (p_.label >= 0) {
      const std::string_view label = p_.table.cell(i, p_.label);
      if (!label.empty()) item.label = label;
    }
    for (Index c = 0; c < static_cast<Index>(p_.table.columns().size()); ++c) {
      const std::string_view cell = p_.table.cell(i, c);
      if (c == p_.path || c == p_.mask || cell.empty()) continue;
      item.attributes[At(p_.table.columns(), c)] = std::string(cell);
    }
    return item;
  }

  std::string path(Index i) const override {
    CheckPictureIndex(i, size(), root());
    return std::string(Path(i));
  }

  std::vector<std::uint8_t> Read(Index i) const override {
    return ReadFile(p_.folder / path(i), kMaxPictureBytes);
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    CheckPictureIndex(i, size(), root());
    if (p_.mask < 0 || p_.table.cell(i, p_.mask).empty()) return std::nullopt;
    return ReadFile(p_.folder / p_.table.cell(i, p_.mask), kMaxPictureBytes);
  }

  std::optional<int> mask_ignore() const override { return p_.mask_ignore; }
  std::string kind() const override { return p_.kind; }
  std::string root() const override { return p_.root.string(); }
  std::string split() const override { return p_.split; }

 private:
  std::string_view Path(Index i) const { return p_.table.cell(i, p_.path); }

  // A table must not lead the program to files elsewhere.
  void CheckPath(Index row, Index column) const {
    const std::filesystem::path path = p_.table.cell(row, column);
    const char* problem = nullptr;
    if (path.empty()) problem = "is empty";
    if (path.is_absolute()) problem = "is absolute";
    if (std::ranges::find(path, "..") != path.end()) problem = "has '..' in it";
    if (problem == nullptr) return;
    throw Error(ErrorCode::kCorruptData,
                "{}: row {}: the path \"{}\" in column '{}' {}; paths are relative to {} and stay "
                "in it (a link to a folder elsewhere may lie there)",
                PathText(p_.root), row + 1, Printable(path.native()),
                Printable(At(p_.table.columns(), column), 80), problem,
                p_.folder.empty() ? "the current folder" : PathText(p_.folder));
  }

  PictureTable p_;
};

}  // namespace

std::unique_ptr<ImageSet> OpenPictureTable(PictureTable pictures) {
  return std::make_unique<ListedSet>(std::move(pictures));
}

TextTable RowsOfSplit(TextTable table, Index column, const std::string& split,
                      const std::string& name) {
  if (split.empty()) return table;
  if (column < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: has no column 'split', but split '{}' was asked for; leave --split out or add "
                "the column",
                name, Printable(split, 80));
  }
  TextTable kept(table.columns());
  std::vector<std::string_view> cells(table.columns().size());
  std::set<std::string> values;
  constexpr std::size_t kMaxValues = 10;
  for (Index r = 0; r < table.rows(); ++r) {
    const std::string_view value = table.cell(r, column);
    if (value != split) {
      if (values.size() < kMaxValues) values.insert(Printable(value, 40));
      continue;
    }
    for (std::size_t c = 0; c < cells.size(); ++c) cells[c] = table.cell(r, static_cast<Index>(c));
    kept.AddRow(cells);
  }
  if (kept.rows() == 0) {
    throw Error(ErrorCode::kNotFound, "{}: no picture is of the split '{}'; there are: {}", name,
                Printable(split, 80), fmt::join(values, ", "));
  }
  return kept;
}

std::unique_ptr<ImageSet> OpenTable(const std::filesystem::path& file, const std::string& split) {
  PictureTable pictures{.kind = "table",
                        .root = file,
                        .folder = file.parent_path(),
                        .split = split,
                        .table = ReadTextTable(file),
                        .mask_ignore = std::nullopt};
  TextTable& table = pictures.table;
  constexpr std::array<const char*, 7> kPathNames = {
      "path", "file", "filename", "file_name", "image", "img_filename", "image_id"};
  for (const char* name : kPathNames) {
    if (pictures.path < 0) pictures.path = table.Find(name);
  }
  if (pictures.path < 0) {
    std::string columns;
    for (const std::string& column : table.columns()) {
      columns += (columns.empty() ? "" : ", ") + Printable(column, 40);
    }
    throw Error(
        ErrorCode::kInvalidArgument,
        "{}: no column holds the pictures' paths; one must be named {}, the columns are: {}{}",
        PathText(file), fmt::join(kPathNames, ", "), Printable(columns, 400),
        table.columns().size() == 1 ? " (.csv files have commas between the cells, .tsv files tabs)"
                                    : "");
  }
  pictures.label = table.Find("label");
  pictures.mask = table.Find("mask");
  const auto split_column = table.Find("split");
  table = RowsOfSplit(std::move(table), split_column, split, PathText(file));
  return OpenPictureTable(std::move(pictures));
}

}  // namespace cliplens
