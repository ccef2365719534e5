#include "cliplens/report/table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/code_points.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kSmallestCut = 8;
constexpr std::string_view kGap = "  ";
constexpr std::string_view kReplacementText = "\ufffd";
constexpr std::string_view kEllipsis = "\u2026";

struct Range {
  char32_t first, last;
};

template <std::size_t N>
bool In(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](Range r) { return c >= r.first && c <= r.last; });
}

// Blocks of combining marks, joiners, directional marks and variation selectors.
constexpr std::array kZeroWidth = {
    Range{0x0300, 0x036f},   Range{0x0483, 0x0489},  Range{0x0591, 0x05bd}, Range{0x0610, 0x061a},
    Range{0x064b, 0x065f},   Range{0x093c, 0x093c},  Range{0x0941, 0x0948}, Range{0x094d, 0x094d},
    Range{0x0e31, 0x0e31},   Range{0x0e34, 0x0e3a},  Range{0x0e47, 0x0e4e}, Range{0x1ab0, 0x1aff},
    Range{0x1dc0, 0x1dff},   Range{0x200b, 0x200f},  Range{0x202a, 0x202e}, Range{0x2060, 0x2069},
    Range{0x20d0, 0x20ff},   Range{0xfe00, 0xfe0f},  Range{0xfe20, 0xfe2f}, Range{0xfeff, 0xfeff},
    Range{0x1f3fb, 0x1f3ff}, Range{0xe0100, 0xe01ef}};

// Blocks of East Asian wide and full-width characters and of emoji.
constexpr std::array kWide = {
    Range{0x1100, 0x115f},   Range{0x231a, 0x231b},   Range{0x23e9, 0x23ec},
    Range{0x25fd, 0x25fe},   Range{0x2614, 0x2615},   Range{0x26a1, 0x26a1},
    Range{0x2705, 0x2705},   Range{0x2728, 0x2728},   Range{0x274c, 0x274c},
    Range{0x2753, 0x2755},   Range{0x2795, 0x2797},   Range{0x2b50, 0x2b50},
    Range{0x2e80, 0x303e},   Range{0x3041, 0x33ff},   Range{0x3400, 0x4dbf},
    Range{0x4e00, 0x9fff},   Range{0xa000, 0xa4cf},   Range{0xa960, 0xa97f},
    Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},   Range{0xfe30, 0xfe4f},
    Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},   Range{0x1f300, 0x1f64f},
    Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1f9ff}, Range{0x1fa70, 0x1faff},
    Range{0x20000, 0x3fffd}};

Index WidthOf(char32_t c) {
  if (c < 0x300) return 1;
  if (In(kZeroWidth, c)) return 0;
  return In(kWide, c) ? 2 : 1;
}

std::string Clean(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = Utf8SequenceLength(text);
    const char32_t c = length == 0 ? 0 : CodePointOf(text.substr(0, length));
    const bool shown = c >= 0x20 && (c < 0x7f || c >= 0xa0) && !IsHiddenMark(c);
    out += shown ? text.substr(0, length) : kReplacementText;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

// `text` cut to `width` columns, the last of them an ellipsis where something was left off.
std::string Cut(const std::string& text, Index width) {
  if (DisplayWidth(text) <= width) return text;
  std::string_view rest = text;
  std::string out;
  Index used = 0;
  while (!rest.empty()) {
    const std::size_t length = std::max<std::size_t>(Utf8SequenceLength(rest), 1);
    used += WidthOf(CodePointOf(rest.substr(0, length)));
    if (used > width - 1) break;
    out += rest.substr(0, length);
    rest.remove_prefix(length);
  }
  return out += kEllipsis;
}

}  // namespace

Index DisplayWidth(std::string_view text) {
  Index width = 0;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(Utf8SequenceLength(text), 1);
    width += WidthOf(CodePointOf(text.substr(0, length)));
    text.remove_prefix(length);
  }
  return width;
}

std::string FormatNumber(double value, int decimals) {
  const std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  const bool zero = digits.find_first_not_of("0.") == std::string::npos;
  return (value < 0 && !zero ? "-" : "") + digits;
}

std::string FormatPercent(double share, int decimals) {
  return FormatNumber(100 * share, decimals) + " %";
}

std::string FormatEstimate(const Estimate& estimate, double factor, int decimals) {
  return fmt::format("{} ({} to {})", FormatNumber(factor * estimate.value, decimals),
                     FormatNumber(factor * estimate.low, decimals),
                     FormatNumber(factor * estimate.high, decimals));
}

Table::Table(std::vector<TableColumn> columns) : columns_(std::move(columns)) {
  for (TableColumn& column : columns_) column.title = Clean(column.title);
}

void Table::AddRow(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) {
    throw Error(ErrorCode::kInvalidArgument, "table: a row of {} cells in a table of {} columns",
                cells.size(), columns_.size());
  }
  for (std::string& cell : cells) cell = Clean(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Render(Index max_width) const {
  const std::size_t n = columns_.size();
  std::vector<Index> widths(n);
  for (std::size_t c = 0; c < n; ++c) {
    widths[c] = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) widths[c] = std::max(widths[c], DisplayWidth(row[c]));
  }
  const auto total = [&] {
    Index sum = static_cast<Index>(kGap.size() * (n > 0 ? n - 1 : 0));
    for (const Index width : widths) sum += width;
    return sum;
  };
  while (max_width > 0 && total() > max_width) {
    std::size_t widest = n;
    for (std::size_t c = 0; c < n; ++c) {
      if (columns_[c].align == Align::kLeft && widths[c] > kSmallestCut &&
          (widest == n || widths[c] > widths[widest])) {
        widest = c;
      }
    }
    if (widest == n) break;
    --widths[widest];
  }

  std::string out;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t c = 0; c < n; ++c) {
      const std::string cell = Cut(cell_of(c), widths[c]);
      const std::string blanks(ToSize(widths[c] - DisplayWidth(cell)), ' ');
      if (c > 0) line += kGap;
      line += columns_[c].align == Align::kRight ? blanks + cell : cell + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line([&](std::size_t c) { return columns_[c].title; });
  add_line([&](std::size_t c) {
    std::string rule;
    for (Index i = 0; i < widths[c]; ++i) rule += "\u2500";
    return rule;
  });
  for (const auto& row : rows_) add_line([&](std::size_t c) { return row[c]; });
  return out;
}

}  // namespace cliplens
