// Tables for a terminal: aligned columns of plain text.
//
//   Table table({{"head"}, {"share", Align::kRight}, {"first text"}});
//   table.AddRow({"L5.H3", "12.4 %", "a picture of a duck"});
//   fmt::print("{}", table.Render(/*max_width=*/80));
//
// Widths are those of a terminal: East Asian wide characters and emoji take two columns, combining
// marks none. Control characters and bytes that are not UTF-8 come out as U+FFFD, so that a text
// from a file cannot move the cursor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"

namespace cliplens {

enum class Align { kLeft, kRight };

struct TableColumn {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<TableColumn> columns);

  // Throws Error(kInvalidArgument) unless there is one cell for each column.
  void AddRow(std::vector<std::string> cells);

  // Title line, rule, rows; every line ends in a line feed and no line in blanks. Where lines would
  // be longer than `max_width` columns (0: no limit), the widest left-aligned column is cut with an
  // ellipsis, down to 8 columns.
  std::string Render(Index max_width = 0) const;

 private:
  std::vector<TableColumn> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Columns that a terminal gives to `text` (valid UTF-8 without control characters).
Index DisplayWidth(std::string_view text);

// `value` with `decimals` digits after the point; "-0.0" is never written.
std::string FormatNumber(double value, int decimals);
// `share` as a percentage: "12.4 %".
std::string FormatPercent(double share, int decimals = 1);
// `factor` times the estimate: "98.2 (97.0 to 99.1)".
std::string FormatEstimate(const Estimate& estimate, double factor, int decimals);

}  // namespace cliplens
