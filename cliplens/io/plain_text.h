// Text files: their encoding and their lines, the same for texts, classes and tables.
//
//   const std::string content = ReadTextFile("classes.txt", 1 << 20);
//   const std::string_view text = PlainText(content, "classes.txt");
//   for (std::size_t at = 0; at < text.size();) Use(TakeLine(text, &at));
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cliplens {

// `content` without a byte-order mark. Throws Error(kCorruptData) naming the line and the encoding
// where it is not UTF-8 or has a zero byte: UTF-16, Latin-1. `name` is the file's.
std::string_view PlainText(std::string_view content, const std::string& name);

// The line that begins at `*at`, without its end: LF, CRLF, or CR alone. Moves `*at` behind it.
std::string_view TakeLine(std::string_view text, std::size_t* at);

}  // namespace cliplens
