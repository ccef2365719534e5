// Waterbirds ("Distributionally Robust Neural Networks for Group Shifts", arXiv 1911.08731, §4):
// metadata.csv and the pictures, as its archive unpacks.
#include <array>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/listed_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr const char* kTable = "metadata.csv";
constexpr std::array<const char*, 4> kColumns = {"img_filename", "y", "split", "place"};

// "0", "1", ... as one of `names`.
template <std::size_t N>
const char* Named(const TextTable& table, Index row, Index column,
                  const std::array<const char*, N>& names, const std::string& file) {
  const std::string_view cell = table.cell(row, column);
  if (cell.size() != 1 || cell[0] < '0' || cell[0] >= '0' + static_cast<char>(N)) {
    throw Error(ErrorCode::kCorruptData, "{}: row {}: {} is '{}', 0 to {} was expected", file,
                row + 1, At(table.columns(), column), Printable(cell, 40), N - 1);
  }
  return At(names, cell[0] - '0');
}

}  // namespace

bool IsWaterbirds(const std::filesystem::path& root) {
  if (!Exists(root / kTable)) return false;
  // Any folder may hold a metadata.csv. One that is no Waterbirds table belongs to another kind of
  // set, broken or not.
  try {
    const TextTable table = ReadTextTable(root / kTable);
    std::size_t found = 0;
    for (const char* column : kColumns) found += table.Find(column) >= 0 ? 1 : 0;
    return found == kColumns.size();
  } catch (const Error&) {
    return false;
  }
}

std::unique_ptr<ImageSet> OpenWaterbirds(const std::filesystem::path& root,
                                         const std::string& split) {
  const std::string name = PathText(root / kTable);
  const TextTable given = ReadTextTable(root / kTable);
  TextTable table({"img_filename", "label", "y", "place", "split"});
  std::array<Index, kColumns.size()> at;
  for (std::size_t c = 0; c < kColumns.size(); ++c) at[c] = given.Find(kColumns[c]);
  for (Index r = 0; r < given.rows(); ++r) {
    const std::array<std::string_view, 5> row = {
        given.cell(r, at[0]), Named(given, r, at[1], std::array{"landbird", "waterbird"}, name),
        given.cell(r, at[1]), Named(given, r, at[3], std::array{"land", "water"}, name),
        Named(given, r, at[2], std::array{"train", "val", "test"}, name)};
    table.AddRow(row);
  }
  return OpenPictureTable({.kind = "waterbirds",
                           .root = root,
                           .folder = root,
                           .split = split,
                           .table = RowsOfSplit(std::move(table), 4, split, name),
                           .path = 0,
                           .label = 1,
                           .mask_ignore = std::nullopt});
}

}  // namespace cliplens
