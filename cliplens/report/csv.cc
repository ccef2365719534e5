#include "cliplens/report/csv.h"

#include <fmt/format.h>

#include "cliplens/base/parse_number.h"

namespace cliplens {

std::string CsvRow(const std::vector<std::string>& cells) {
  std::string row;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    std::string cell = cells[i];
    if (!cell.empty() && std::string("=+-@\t\r\n").find(cell[0]) != std::string::npos &&
        !ParseNumber<double>(cell)) {
      cell.insert(cell.begin(), '\'');
    }
    if (i > 0) row += ',';
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      row += cell;
      continue;
    }
    row += '"';
    for (const char c : cell) {
      if (c == '"') row += '"';
      row += c;
    }
    row += '"';
  }
  return row + "\n";
}

std::string CsvNumber(double value) { return fmt::format("{:.9g}", value); }

}  // namespace cliplens
