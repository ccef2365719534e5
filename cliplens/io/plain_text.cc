#include "cliplens/io/plain_text.h"

#include <algorithm>
#include <cstdint>

#include "cliplens/base/array.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

struct Place {
  Index line;  // both from 1
  Index byte;  // in its line
};

Place PlaceOf(std::string_view text, std::size_t offset) {
  std::size_t begin = 0;
  for (Index line = 1;; ++line) {
    std::size_t next = begin;
    TakeLine(text, &next);
    if (offset < next) return {line, static_cast<Index>(offset - begin) + 1};
    begin = next;
  }
}

}  // namespace

std::string_view PlainText(std::string_view content, const std::string& name) {
  if (content.starts_with("\xff\xfe") || content.starts_with("\xfe\xff")) {
    throw Error(ErrorCode::kCorruptData,
                "{}: line 1: begins with the mark of UTF-16; save the file as UTF-8", name);
  }
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
  const std::size_t zero = std::min(content.find('\0'), content.size());
  const std::size_t bad = std::min(FindInvalidUtf8(content), content.size());
  if (zero < content.size() && zero < bad) {
    throw Error(ErrorCode::kCorruptData,
                "{}: line {}: has a zero byte{}; save the file as plain UTF-8 text", name,
                PlaceOf(content, zero).line, zero < 2 ? ", as UTF-16 has" : "");
  }
  if (bad < content.size()) {
    const Place place = PlaceOf(content, bad);
    throw Error(
        ErrorCode::kCorruptData,
        "{}: line {}: byte {} is not UTF-8 (0x{:02x}, as Latin-1 or Windows-1252 has); save "
        "the file as UTF-8",
        name, place.line, place.byte, static_cast<std::uint8_t>(content[bad]));
  }
  return content;
}

std::string_view TakeLine(std::string_view text, std::size_t* at) {
  const std::size_t begin = *at;
  const std::size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
  *at = std::min(end + (text.substr(end, 2) == "\r\n" ? 2 : 1), text.size());
  return text.substr(begin, end - begin);
}

}  // namespace cliplens
