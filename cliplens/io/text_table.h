// Tables of text: columns with names, rows of as many cells; read from CSV and TSV files.
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
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// All cells share one string, so a table takes little more memory than its file.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  const std::vector<std::string>& columns() const { return columns_; }
  // The column of this name, compared without regard to case, or -1.
  Index Find(std::string_view name) const;
  Index rows() const { return static_cast<Index>(ends_.size() / columns_.size()); }
  std::string_view cell(Index row, Index column) const;
  // One cell for each column.
  void AddRow(std::span<const std::string_view> cells);

 private:
  std::vector<std::string> columns_;
  std::string text_;
  std::vector<std::uint32_t> ends_;  // of the cells in text_, row by row
};

// A file with a header line, commas between the cells (.csv) or tabs (.tsv): RFC 4180, with LF or
// CRLF, a byte-order mark and blank lines allowed. A cell that begins with a quotation mark ends at
// the next single one; it may hold separators and line ends, and two quotation marks in it stand
// for one. Throws Error(kCorruptData) with the line for a row with more or fewer cells than the
// header, an unfinished quotation, text after one, a carriage return alone, a zero byte, text that
// is not UTF-8 or a column name that occurs twice; Error(kInvalidArgument) for a file without a
// header; Error(kExhausted) above 256 MB or 4,096 columns. Columns without a name (pandas writes
// one) are left out.
TextTable ReadTextTable(const std::filesystem::path& path);

}  // namespace cliplens
