#include "cliplens/report/csv.h"

namespace cliplens {
namespace {

bool IsNumber(const std::string& cell) {
  return cell.find_first_not_of("0123456789.+-eE") == std::string::npos;
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

}  // namespace cliplens
