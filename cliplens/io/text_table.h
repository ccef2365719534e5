// Tables of text: columns with names, rows of as many cells; read from CSV, TSV, JSON Lines and
// Parquet.
//
//   const TextTable table = ReadTextTable("metadata.csv");
//   const Index place = table.Find("place");
//   for (Index r = 0; r < table.rows(); ++r) Use(table.cell(r, place));
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// All cells share one string, so a table of CSV takes little more memory than its file.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  const std::vector<std::string>& columns() const { return columns_; }
  // The column of this name, compared without regard to case, or -1.
  Index Find(std::string_view name) const;
  Index rows() const { return static_cast<Index>(ends_.size() / columns_.size()); }
  // Rows of the file that have cells and nothing in them; they are left out.
  Index blank_rows() const { return blank_rows_; }
  std::string_view cell(Index row, Index column) const;
  // Sentences that name the file: what of it is in no cell.
  const std::vector<std::string>& notes() const { return notes_; }
  // One cell for each column.
  void AddRow(std::span<const std::string_view> cells);
  void CountBlankRow() { ++blank_rows_; }
  void AddNote(std::string note) { notes_.push_back(std::move(note)); }
  // Makes room for as many bytes of cells.
  void Reserve(std::size_t bytes) { text_.reserve(bytes); }

 private:
  std::vector<std::string> columns_;
  std::string text_;
  std::vector<std::uint32_t> ends_;  // of the cells in text_, row by row
  Index blank_rows_ = 0;
  std::vector<std::string> notes_;
};

// The largest table that is read, and its largest cell. A table takes at most twice its file's size
// and 4 bytes a cell.
inline constexpr Index kMaxTableBytes = Index{128} << 20;
inline constexpr std::size_t kMaxCellBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxTableCells = std::size_t{1} << 26;

// A file with a header line and a separator between the cells: RFC 4180, with LF, CRLF or CR at the
// line ends, a byte-order mark and blank lines allowed. The separator is the one of comma,
// semicolon and tab that stands in the header most often; of two that do, or if none does, the
// comma in a .csv and the tab in a .tsv. Blanks around a cell are left out. A cell that begins with
// a quotation mark ends at the next single one; it may hold separators, blanks and line ends, and
// two quotation marks in it stand for one. Columns without a name (pandas writes one) are left out.
//
// A .jsonl file has a JSON object a line; the columns are its members by name. Strings are cells as
// they are, null and members that are missing are empty cells, other values are written as JSON.
//
// A .parquet file is read as io/parquet.h says.
//
// Throws Error(kCorruptData) with the line for a row with more or fewer cells than the header, an
// unfinished quotation, text behind one, a name of a column that stands twice, bad JSON, and as
// PlainText; Error(kInvalidArgument) for a file without a header; Error(kExhausted) above the
// bounds and 4,096 columns; as ReadParquetTable.
TextTable ReadTextTable(const std::filesystem::path& path);

}  // namespace cliplens
