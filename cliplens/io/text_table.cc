#include "cliplens/io/text_table.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/parquet.h"
#include "cliplens/io/plain_text.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/python_json.h"

namespace cliplens {
namespace {

constexpr std::size_t kMaxColumns = 4096;

bool SameName(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

void CheckCells(const TextTable& table, const std::string& name) {
  if (ToSize(table.rows()) < kMaxTableCells / table.columns().size()) return;
  throw Error(ErrorCode::kExhausted, "{}: has more than {} cells; split the table", name,
              kMaxTableCells);
}

// The separator that stands in the header most often, outside of quotation marks.
char SeparatorOf(std::string_view text, bool tabs) {
  std::size_t at = 0;
  while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;
  const std::string_view header = TakeLine(text, &at);
  const std::array<char, 3> separators =
      tabs ? std::array{'\t', ',', ';'} : std::array{',', ';', '\t'};
  std::array<Index, 3> counts = {};
  bool quoted = false;
  for (const char c : header) {
    if (c == '"') quoted = !quoted;
    for (std::size_t s = 0; s < separators.size() && !quoted; ++s) counts[s] += c == separators[s];
  }
  return separators[ToSize(std::ranges::max_element(counts) - counts.begin())];
}

// The rows of a file that are not blank, one after the other.
class Rows {
 public:
  Rows(std::string_view text, char separator, std::string name)
      : rest_(text), separator_(separator), name_(std::move(name)) {}

  // The line at which the latest row began, from 1.
  Index line() const { return row_line_; }

  // The cells live until the next call.
  bool Next(std::vector<std::string>* cells) {
    cells->clear();
    while (AtLineEnd()) TakeLineEnd();
    if (rest_.empty()) return false;
    row_line_ = line_;
    while (true) {
      if (cells->size() == kMaxColumns) {
        throw Error(ErrorCode::kExhausted, "{}: line {}: has more than {} cells", name_, row_line_,
                    kMaxColumns);
      }
      SkipBlanks();
      cells->push_back(rest_.starts_with('"') ? Quoted() : Plain());
      if (rest_.empty()) return true;
      if (AtLineEnd()) {
        TakeLineEnd();
        return true;
      }
      rest_.remove_prefix(1);  // the separator
    }
  }

 private:
  bool AtLineEnd() const { return rest_.starts_with('\n') || rest_.starts_with('\r'); }

  void TakeLineEnd() {
    rest_.remove_prefix(rest_.starts_with("\r\n") ? 2 : 1);
    ++line_;
  }

  void SkipBlanks() {
    while (rest_.starts_with(' ') || (rest_.starts_with('\t') && separator_ != '\t')) {
      rest_.remove_prefix(1);
    }
  }

  std::string Plain() {
    std::size_t end = 0;
    while (end < rest_.size() && rest_[end] != separator_ && rest_[end] != '\n' &&
           rest_[end] != '\r') {
      ++end;
    }
    CheckSize(end);
    std::string_view cell = rest_.substr(0, end);
    rest_.remove_prefix(end);
    while (cell.ends_with(' ') || cell.ends_with('\t')) cell.remove_suffix(1);
    return std::string(cell);
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
      CheckSize(cell.size() + quote);
      const std::string_view part = rest_.substr(0, quote);
      for (std::size_t at = part.find_first_of("\r\n"); at < part.size();
           at = part.find_first_of("\r\n", at)) {
        TakeLine(part, &at);
        ++line_;
      }
      cell += part;
      rest_.remove_prefix(quote + 1);
      if (!rest_.starts_with('"')) break;
      cell += '"';
      rest_.remove_prefix(1);
    }
    SkipBlanks();
    if (!rest_.empty() && rest_.front() != separator_ && !AtLineEnd()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: \"{}\" stands behind a closing quotation mark; a separator or the "
                  "line's end was expected",
                  name_, line_, Printable(rest_.substr(0, rest_.find_first_of("\r\n")), 20));
    }
    return cell;
  }

  void CheckSize(std::size_t bytes) const {
    if (bytes <= kMaxCellBytes) return;
    throw Error(
        ErrorCode::kExhausted,
        "{}: line {}: a cell has {} bytes or more, at most {} are read; is a quotation mark "
        "missing?",
        name_, row_line_, bytes, kMaxCellBytes);
  }

  std::string_view rest_;
  char separator_;
  std::string name_;
  Index line_ = 1;
  Index row_line_ = 1;
};

void CheckColumns(const std::vector<std::string>& columns, const std::string& column,
                  const std::string& name, Index line) {
  for (const std::string& other : columns) {
    if (!SameName(other, column)) continue;
    throw Error(ErrorCode::kCorruptData, "{}: line {}: two columns are named '{}'; rename one",
                name, line, Printable(column, 80));
  }
}

TextTable ReadCells(std::string_view text, bool tabs, const std::string& name) {
  Rows rows(text, SeparatorOf(text, tabs), name);
  std::vector<std::string> cells;
  if (!rows.Next(&cells)) {
    throw Error(ErrorCode::kInvalidArgument, "{}: is empty; its first line must name the columns",
                name);
  }
  std::vector<std::size_t> kept;
  std::vector<std::string> columns;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (cells[c].empty()) continue;
    CheckColumns(columns, cells[c], name, rows.line());
    kept.push_back(c);
    columns.push_back(cells[c]);
  }
  if (columns.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: line {}: no column has a name", name,
                rows.line());
  }
  const std::size_t width = cells.size();
  TextTable table(std::move(columns));
  table.Reserve(text.size());
  std::vector<std::string_view> row(kept.size());
  while (rows.Next(&cells)) {
    if (cells.size() != width) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: has {} cells, the header has {}; put cells with separators in them "
                  "in quotation marks",
                  name, rows.line(), cells.size(), width);
    }
    if (std::ranges::all_of(cells, &std::string::empty)) {
      table.CountBlankRow();
      continue;
    }
    for (std::size_t c = 0; c < kept.size(); ++c) row[c] = cells[kept[c]];
    CheckCells(table, name);
    table.AddRow(row);
  }
  return table;
}

// Calls `take(object, line)` for the object of each line that is not blank.
template <typename Take>
void ForEachObject(std::string_view text, const std::string& name, Take take) {
  Index line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view part = TakeLine(text, &at);
    ++line;
    if (part.find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}: row {}", name, line);
    const Json object = ParsePythonJson(part, where);
    if (!object.is_object()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: a JSON object is wanted on each line, this is of "
                  "type {}",
                  where, object.type_name());
    }
    take(object, line);
  }
}

TextTable ReadObjects(std::string_view text, const std::string& name) {
  std::vector<std::string> columns;
  std::map<std::string, std::size_t, std::less<>> number_of;
  ForEachObject(text, name, [&](const Json& object, Index line) {
    for (const auto& [key, value] : object.items()) {
      if (number_of.contains(key)) continue;
      CheckColumns(columns, key, name, line);
      if (columns.size() == kMaxColumns) {
        throw Error(ErrorCode::kExhausted, "{}: row {}: more than {} members by name", name, line,
                    kMaxColumns);
      }
      number_of.emplace(key, columns.size());
      columns.push_back(key);
    }
  });
  if (columns.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: has no objects with members; one a line is wanted", name);
  }
  TextTable table(std::move(columns));
  std::vector<std::string> cells(table.columns().size());
  std::vector<std::string_view> row(cells.size());
  ForEachObject(text, name, [&](const Json& object, Index line) {
    std::ranges::fill(cells, "");
    for (const auto& [key, value] : object.items()) {
      if (value.is_null()) continue;
      std::string& cell = cells[number_of.find(key)->second];
      cell = value.is_string() ? value.get<std::string>() : DumpJson(value);
      if (cell.size() > kMaxCellBytes) {
        throw Error(ErrorCode::kExhausted, "{}: row {}: \"{}\" has {} bytes, at most {} are read",
                    name, line, Printable(key, 80), cell.size(), kMaxCellBytes);
      }
    }
    std::ranges::copy(cells, row.begin());
    CheckCells(table, name);
    table.AddRow(row);
  });
  return table;
}

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
  const std::string ending = path.extension().string();
  if (SameName(ending, ".parquet")) return ReadParquetTable(path);
  const std::string content = ReadTextFile(path, kMaxTableBytes);
  const std::string_view text = PlainText(content, name);
  if (SameName(ending, ".jsonl")) return ReadObjects(text, name);
  return ReadCells(text, SameName(ending, ".tsv"), name);
}

}  // namespace cliplens
