// Lines of a text file: the one rule for all files of texts, classes and lists.
#pragma once

#include <string>
#include <string_view>

#include "cliplens/base/array.h"
#include "cliplens/io/plain_text.h"

namespace cliplens {

struct Line {
  Index number;  // from 1
  std::string_view text;
};

// `text` without the blanks and tabs around it.
inline std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// The lines of `content` that are not blank, as parts of it, without a byte-order mark. A line ends
// in LF, CRLF, or CR alone. Calls `take(line)` for each and returns the number of blank lines.
// Throws as PlainText.
template <typename Take>
Index ForEachLine(std::string_view content, const std::string& name, Take take) {
  const std::string_view text = PlainText(content, name);
  Index number = 0;
  Index blank = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Line line = {++number, TakeLine(text, &at)};
    if (Trim(line.text).empty()) {
      ++blank;
    } else {
      take(line);
    }
  }
  return blank;
}

}  // namespace cliplens
