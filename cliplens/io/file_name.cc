#include "cliplens/io/file_name.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr std::size_t kEscapeBytes = 4;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte that `text` opens with an escape of, or -1. Only bytes that are written as escapes
// count.
int EscapedByte(std::string_view text) {
  if (text.size() < kEscapeBytes || !text.starts_with("\\x")) return -1;
  const int high = HexDigit(text[2]);
  const int low = HexDigit(text[3]);
  if (high < 0 || low < 0) return -1;
  const int byte = 16 * high + low;
  return byte >= 0x80 || byte == '\\' ? byte : -1;
}

}  // namespace

std::string NameText(std::string_view name) {
  std::string text;
  text.reserve(name.size());
  while (!name.empty()) {
    const std::size_t length =
        std::min(Utf8SequenceLength(name.substr(0, kEscapeBytes)), name.size());
    if (length == 0 || EscapedByte(name) >= 0) {
      text += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(name.front()));
      name.remove_prefix(1);
      continue;
    }
    text += name.substr(0, length);
    name.remove_prefix(length);
  }
  return text;
}

std::string RawName(std::string_view text) {
  std::string name;
  name.reserve(text.size());
  while (!text.empty()) {
    const int byte = EscapedByte(text);
    name += byte >= 0 ? static_cast<char>(byte) : text.front();
    text.remove_prefix(byte >= 0 ? kEscapeBytes : 1);
  }
  return name;
}

}  // namespace cliplens
