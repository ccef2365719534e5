#include "cliplens/dataset/listed_set.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/dataset/picture_rows.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

class ListedSet : public ImageSet {
 public:
  explicit ListedSet(PictureTable pictures) : p_(std::move(pictures)), rows_(TakeRows(p_)) {
    if (size() == 0) {
      throw Error(ErrorCode::kNotFound, "{}: lists no pictures; one row for each is wanted",
                  PathText(p_.root));
    }
    for (Index i = 0; i < size(); ++i) {
      CheckPath(i, p_.path, rows_.path(i));
      if (rows_.mask(i)) CheckPath(i, p_.mask, *rows_.mask(i));
    }
    if (rows_.joined() > 0) {
      p_.left_out.notes.push_back(fmt::format(
          "{}: {} of {} rows name a picture again; {} pictures, whose cells that differ are lists",
          PathText(p_.root), rows_.joined(), rows_.table().rows(), size()));
    }
  }

  Index size() const override { return rows_.size(); }

  Item item(Index i) const override {
    CheckPictureIndex(i, size(), root());
    Item item{.path = std::string(rows_.path(i)), .label = std::nullopt};
    if (const auto label = rows_.label(i)) item.label = *label;
    item.attributes = rows_.attributes(i);
    return item;
  }

  std::string path(Index i) const override {
    CheckPictureIndex(i, size(), root());
    return std::string(rows_.path(i));
  }

  std::vector<std::uint8_t> Read(Index i) const override { return ReadListed(path(i)); }

  std::optional<PictureExtent> extent(Index i) const override {
    const std::string listed = path(i);
    if (listed.find('\\') != std::string::npos) return std::nullopt;  // see ReadListed
    return PictureExtent{.file = FileIn(p_.folder, listed)};
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    CheckPictureIndex(i, size(), root());
    if (const auto mask = rows_.mask(i)) return ReadListed(*mask);
    return std::nullopt;
  }

  std::optional<int> mask_ignore() const override { return p_.mask_ignore; }
  std::string kind() const override { return p_.kind; }
  std::string root() const override { return p_.root.string(); }
  std::string split() const override { return p_.split; }
  std::string path_column() const override { return p_.options.path_column; }
  bool allow_absolute() const override { return p_.options.allow_absolute; }
  LeftOut left_out() const override { return p_.left_out; }

 private:
  static PictureRows TakeRows(PictureTable& p) {
    const PictureColumns columns = {
        .path = p.path, .label = p.label, .mask = p.mask, .split = p.table.Find("split")};
    return PictureRows(std::move(p.table), columns, PathText(p.root));
  }

  std::vector<std::uint8_t> ReadListed(std::string_view path) const {
    const std::filesystem::path file = FileIn(p_.folder, path);
    // Tables that were written on Windows.
    if (path.find('\\') != std::string_view::npos && !Exists(file)) {
      throw Error(ErrorCode::kNotFound,
                  "{}: is not there; the parts of a path in {} are to be separated by / and not "
                  "by \\",
                  PathText(file), PathText(p_.root));
    }
    return ReadFile(file, kMaxPictureBytes);
  }

  // A table must not lead the program to files elsewhere unless the user says so.
  void CheckPath(Index i, Index column, std::string_view text) const {
    const std::filesystem::path path = text;
    const char* problem = nullptr;
    if (path.empty()) problem = "is empty";
    const bool leads_out = path.is_absolute() || std::ranges::find(path, "..") != path.end();
    if (leads_out && !p_.options.allow_absolute) {
      problem = path.is_absolute() ? "is absolute" : "has '..' in it";
    }
    if (problem == nullptr) return;
    throw Error(
        ErrorCode::kCorruptData,
        "{}: row {}: the path \"{}\" in column '{}' {}; paths are relative to {} and stay "
        "in it (a link to a folder elsewhere may lie there){}",
        PathText(p_.root), rows_.row(i) + 1, Printable(path.native()),
        Printable(At(rows_.table().columns(), column), 80), problem,
        p_.folder.empty() ? "the current folder" : PathText(p_.folder),
        leads_out && p_.kind == "table" ? ", or --allow-absolute lets them lead elsewhere" : "");
  }

  PictureTable p_;
  PictureRows rows_;
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

std::unique_ptr<ImageSet> OpenTable(const std::filesystem::path& file,
                                    const ImageSetOptions& options) {
  PictureTable pictures{.kind = "table",
                        .root = file,
                        .folder = file.parent_path(),
                        .split = options.split,
                        .table = ReadTextTable(file),
                        .mask_ignore = std::nullopt,
                        .options = options};
  TextTable& table = pictures.table;
  pictures.path = FindPathColumn(table, options.path_column);
  if (pictures.path < 0) {
    std::string columns;
    for (const std::string& column : table.columns()) {
      columns += (columns.empty() ? "" : ", ") + Printable(column, 40);
    }
    for (const std::string& note : table.notes()) columns += "; " + note;
    if (!options.path_column.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: has no column '{}', which --path-column names; the columns are: {}",
                  PathText(file), Printable(options.path_column, 80), Printable(columns, 400));
    }
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no column holds the pictures' paths; one must be named {}, or by "
                "--path-column; the columns are: {}",
                PathText(file), UsualPathColumns(), Printable(columns, 400));
  }
  pictures.left_out.notes = table.notes();
  if (table.blank_rows() > 0) {
    pictures.left_out.notes.push_back(
        fmt::format("{}: {} without any cell {} left out", PathText(file),
                    table.blank_rows() == 1 ? "1 row" : fmt::format("{} rows", table.blank_rows()),
                    table.blank_rows() == 1 ? "was" : "were"));
  }
  pictures.label = table.Find("label");
  pictures.mask = table.Find("mask");
  const auto split_column = table.Find("split");
  table = RowsOfSplit(std::move(table), split_column, options.split, PathText(file));
  return OpenPictureTable(std::move(pictures));
}

}  // namespace cliplens
