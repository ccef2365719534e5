#include "cliplens/io/printable.h"

#include <cstdint>

#include <fmt/format.h>

#include "cliplens/io/code_points.h"

namespace cliplens {

std::size_t Utf8SequenceLength(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  // The bounds of the second byte shut out overlong forms, surrogates and what lies above U+10FFFF.
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

std::size_t FindInvalidUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (static_cast<std::uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = Utf8SequenceLength(text.substr(i, 4));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::string PathText(const std::filesystem::path& path) { return Printable(path.native(), 1024); }

std::string Printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  std::size_t i = 0;
  while (i < text.size()) {
    const auto first = static_cast<std::uint8_t>(text[i]);
    std::size_t length = Utf8SequenceLength(text.substr(i, 4));
    const char32_t c = length == 0 ? 0 : CodePointOf(text.substr(i, length));
    std::string piece;
    // U+0080 to U+009F are control characters too.
    if (length == 0 || c < 0x20 || (c >= 0x7F && c < 0xA0)) {
      length = 1;
      piece = fmt::format("\\x{:02x}", first);
    } else if (IsHiddenMark(c)) {
      piece = fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
    } else {
      piece = text.substr(i, length);
    }
    if (out.size() + piece.size() + 3 > max_bytes && text.size() - i > length) {
      return out + "...";
    }
    out += piece;
    i += length;
  }
  return out;
}

}  // namespace cliplens
