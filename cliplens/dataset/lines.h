// Lines of a text file.
//
//   ForEachLine("a duck\n\na cup\n", "objects.txt",
//               [](const Line& line) { Print(line.number, Trim(line.text)); });   // 1 and 3
#pragma once

#include <string>
#include <string_view>

#include "cliplens/base/array.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {

struct Line {
  Index number;  // from 1
  std::string_view text;
};

// `text` without the blanks, tabs and carriage returns around it.
inline std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Calls `take(line)` for each line of `content` that is not blank. The texts are views of
// `content`; a byte-order mark is left out. Throws Error(kCorruptData) for a line that is not UTF-8
// or has a zero byte; `name` stands in the message.
template <typename Take>
void ForEachLine(std::string_view content, const std::string& name, Take take) {
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
  Index number = 0;
  while (!content.empty()) {
    ++number;
    const std::size_t end = content.find('\n');
    const std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    const std::size_t bad = FindInvalidUtf8(line);
    if (bad != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: byte {} is not UTF-8; save the file as UTF-8", name, number,
                  bad + 1);
    }
    if (line.find('\0') != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: has a zero byte; save the file as plain UTF-8 text", name, number);
    }
    if (!Trim(line).empty()) take(Line{number, line});
  }
}

}  // namespace cliplens
