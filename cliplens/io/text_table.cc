#include "cliplens/io/text_table.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kMaxFileBytes = Index{256} << 20;
constexpr std::size_t kMaxColumns = 4096;

bool SameName(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

// The rows of a file that are not blank, one after the other.
class Rows {
 public:
  Rows(std::string_view text, char separator, std::string name)
      : rest_(text), separator_(separator), name_(std::move(name)) {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
  }

  // The line at which the latest row began, from 1.
  Index line() const { return row_line_; }

  // The cells live until the next call.
  bool Next(std::vector<std::string>* cells) {
    cells->clear();
    while (rest_.starts_with("\n") || rest_.starts_with("\r\n")) {
      rest_.remove_prefix(rest_.front() == '\r' ? 2 : 1);
      ++line_;
    }
    if (rest_.empty()) return false;
    row_line_ = line_;
    while (true) {
      if (cells->size() == kMaxColumns) {
        throw Error(ErrorCode::kExhausted, "{}: line {}: has more than {} cells", name_, row_line_,
                    kMaxColumns);
      }
      cells->push_back(rest_.starts_with('"') ? Quoted() : Plain());
      Check(cells->back());
      if (rest_.empty()) return true;
      const char end = rest_.front();
      rest_.remove_prefix(end == '\r' ? 2 : 1);
      if (end == separator_) continue;
      ++line_;
      return true;
    }
  }

 private:
  bool AtLineEnd() const { return rest_.starts_with('\n') || rest_.starts_with("\r\n"); }

  std::string Plain() {
    std::size_t end = 0;
    while (end < rest_.size() && rest_[end] != separator_ && rest_[end] != '\n' &&
           rest_[end] != '\r') {
      ++end;
    }
    std::string cell(rest_.substr(0, end));
    rest_.remove_prefix(end);
    if (rest_.starts_with('\r') && !AtLineEnd()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: a carriage return without a line feed; save the file with LF or "
                  "CRLF at its line ends",
                  name_, line_);
    }
    return cell;
  }

  std::string Quoted() {
    const Index begin = line_;
    rest_.remove_prefix(1);
    std::string cell;
    while (true) {
      const std::size_t quote = rest_.find('"');
      if (quote == std::string_view::npos) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: line {}: the quotation mark that opens a cell is never closed; write it "
                    "twice inside of quotation marks where it belongs to the text",
                    name_, begin);
      }
      const std::string_view part = rest_.substr(0, quote);
      line_ += std::ranges::count(part, '\n');
      cell += part;
      rest_.remove_prefix(quote + 1);
      if (!rest_.starts_with('"')) break;
      cell += '"';
      rest_.remove_prefix(1);
    }
    if (!rest_.empty() && rest_.front() != separator_ && !AtLineEnd()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: \"{}\" stands behind a closing quotation mark; a separator or the "
                  "line's end was expected",
                  name_, line_, Printable(rest_.substr(0, rest_.find_first_of("\r\n")), 20));
    }
    return cell;
  }

  void Check(std::string_view cell) const {
    if (FindInvalidUtf8(cell) != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: \"{}\" is not UTF-8; save the file as UTF-8", name_, row_line_,
                  Printable(cell, 80));
    }
    if (cell.find('\0') != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: has a zero byte; save the file as plain UTF-8 text", name_,
                  row_line_);
    }
  }

  std::string_view rest_;
  char separator_;
  std::string name_;
  Index line_ = 1;
  Index row_line_ = 1;
};

}  // namespace

Index TextTable::Find(std::string_view name) const {
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (SameName(columns_[c], name)) return static_cast<Index>(c);
  }
  return -1;
}

std::string_view TextTable::cell(Index row, Index column) const {
  const auto at = ToSize(row) * columns_.size() + ToSize(column);
  const std::uint32_t begin = at == 0 ? 0 : ends_[at - 1];
  return std::string_view(text_).substr(begin, ends_[at] - begin);
}

void TextTable::AddRow(std::span<const std::string_view> cells) {
  for (const std::string_view cell : cells) {
    text_ += cell;
    ends_.push_back(static_cast<std::uint32_t>(text_.size()));
  }
}

TextTable ReadTextTable(const std::filesystem::path& path) {
  const std::string name = PathText(path);
  const std::string content = ReadTextFile(path, kMaxFileBytes);
  const std::string ending = path.extension().string();
  Rows rows(content, SameName(ending, ".tsv") ? '\t' : ',', name);
  std::vector<std::string> cells;
  if (!rows.Next(&cells)) {
    throw Error(ErrorCode::kInvalidArgument, "{}: is empty; its first line must name the columns",
                name);
  }
  std::vector<std::size_t> kept;
  std::vector<std::string> columns;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (cells[c].empty()) continue;
    for (const std::string& other : columns) {
      if (!SameName(other, cells[c])) continue;
      throw Error(ErrorCode::kCorruptData, "{}: line {}: two columns are named '{}'; rename one",
                  name, rows.line(), Printable(cells[c], 80));
    }
    kept.push_back(c);
    columns.push_back(cells[c]);
  }
  if (columns.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: line {}: no column has a name", name,
                rows.line());
  }
  const std::size_t width = cells.size();
  TextTable table(std::move(columns));
  std::vector<std::string_view> row(kept.size());
  while (rows.Next(&cells)) {
    if (cells.size() != width) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: has {} cells, the header has {}; put cells with separators in them "
                  "in quotation marks",
                  name, rows.line(), cells.size(), width);
    }
    for (std::size_t c = 0; c < kept.size(); ++c) row[c] = cells[kept[c]];
    table.AddRow(row);
  }
  return table;
}

}  // namespace cliplens
