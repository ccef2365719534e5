#include "cliplens/report/csv.h"

#include <charconv>

#include <fmt/format.h>

namespace cliplens {
namespace {

bool IsNumber(const std::string& cell) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && end == cell.data() + cell.size();
}

}  // namespace

std::string CsvRow(const std::vector<std::string>& cells) {
  std::string row;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    std::string cell = cells[i];
    if (!cell.empty() && std::string("=+-@\t\r").find(cell[0]) != std::string::npos &&
        !IsNumber(cell)) {
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
