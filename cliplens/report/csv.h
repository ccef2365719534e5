// Rows of comma-separated values (RFC 4180): UTF-8, lines end in a line feed.
//
//   std::string file = CsvRow({"head", "share"});
//   file += CsvRow({"L5.H2", CsvNumber(0.124)});
#pragma once

#include <string>
#include <vector>

namespace cliplens {

// Cells with a comma, quote or line end are quoted. Cells that a spreadsheet would take for a
// formula (=, +, -, @ in front of something other than a number) get an apostrophe, since texts
// come from other people's files.
std::string CsvRow(const std::vector<std::string>& cells);

// Nine significant digits.
std::string CsvNumber(double value);

}  // namespace cliplens
