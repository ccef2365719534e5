#include "cliplens/model/text/html_entities.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

struct Entity {
  std::string_view name;       // without the ampersand
  std::string_view character;  // UTF-8
};

#include "cliplens/model/text/html_entities.inc"

const Entity* Find(std::span<const Entity> table, std::string_view name) {
  const auto found = std::lower_bound(
      table.begin(), table.end(), name,
      [](const Entity& entity, std::string_view wanted) { return entity.name < wanted; });
  return found != table.end() && found->name == name ? &*found : nullptr;
}

bool IsDecimal(char32_t c) { return c >= U'0' && c <= U'9'; }
// The value of a digit, -1 if it is none of the base.
int DigitValue(char32_t c, int base) {
  if (IsDecimal(c)) return static_cast<int>(c - U'0');
  const char32_t letter = c | 0x20;
  if (base == 16 && letter >= U'a' && letter <= U'f') return static_cast<int>(letter - U'a') + 10;
  return -1;
}

constexpr std::uint32_t kLastCodePoint = 0x10FFFF;

// What the numbers 0x80 to 0x9F stand for (HTML Living Standard, numeric character reference end
// state); five of them for themselves.
constexpr char32_t kWindows1252[32] = {
    0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
    0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};

void AppendNumbered(std::uint32_t number, std::u32string& out) {
  if (number >= 0x80 && number <= 0x9F) {
    out.push_back(kWindows1252[number - 0x80]);
  } else if (number == 0 || number > kLastCodePoint || (number >= 0xD800 && number <= 0xDFFF)) {
    out.push_back(kReplacement);
  } else if (number < 0x20
                 ? number != U'\t' && number != U'\n' && number != U'\f' && number != U'\r'
                 : number == 0x7F || (number >= 0xFDD0 && number <= 0xFDEF) ||
                       (number & 0xFFFE) == 0xFFFE) {
    // A control character or a code point that never is a character: nothing.
  } else {
    out.push_back(number);
  }
}

// Reads "#233;" or "#xE9" at `at`, behind the ampersand. Returns the end, `at` if there is none.
std::size_t ReadNumber(std::u32string_view text, std::size_t at, std::u32string& out) {
  std::size_t i = at + 1;
  if (at >= text.size() || text[at] != U'#') return at;
  int base = 10;
  if (i < text.size() && (text[i] == U'x' || text[i] == U'X')) {
    base = 16;
    ++i;
  }
  const std::size_t digits = i;
  std::uint32_t number = 0;
  for (; i < text.size() && DigitValue(text[i], base) >= 0; ++i) {
    number = number * static_cast<std::uint32_t>(base) +
             static_cast<std::uint32_t>(DigitValue(text[i], base));
    number = std::min(number, kLastCodePoint + 1);
  }
  if (i == digits) return at;
  if (i < text.size() && text[i] == U';') ++i;
  AppendNumbered(number, out);
  return i;
}

bool EndsName(char32_t c) {
  return c == U'\t' || c == U'\n' || c == U'\f' || c == U' ' || c == U'<' || c == U'&' ||
         c == U'#' || c == U';';
}

// Reads a name at `at`, behind the ampersand. Returns the end, `at` if there is none.
std::size_t ReadName(std::u32string_view text, std::size_t at, std::u32string& out) {
  constexpr std::size_t kLongest = 32;
  std::size_t end = at;
  while (end < text.size() && end - at < kLongest && !EndsName(text[end])) ++end;
  if (end == at) return at;
  if (end < text.size() && text[end] == U';') ++end;

  std::string name;
  for (std::size_t i = at; i < end && text[i] < 0x80; ++i) {
    name.push_back(static_cast<char>(text[i]));
  }
  // The whole name, else the longest beginning of two or more characters that is one.
  for (std::size_t length = name.size(); length >= 2; --length) {
    const Entity* entity = Find(kHtml5, std::string_view(name).substr(0, length));
    if (entity == nullptr) continue;
    AppendDecodedUtf8(entity->character, out);
    out += text.substr(at + length, end - at - length);
    return end;
  }
  out.push_back(U'&');
  out += text.substr(at, end - at);
  return end;
}

}  // namespace

std::u32string UnescapeHtml(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == U'&') {
      std::size_t end = ReadNumber(text, i + 1, out);
      if (end == i + 1) end = ReadName(text, i + 1, out);
      if (end != i + 1) {
        i = end;
        continue;
      }
    }
    out.push_back(text[i++]);
  }
  return out;
}

std::u32string UnescapeClosedHtml(std::u32string_view text) {
  constexpr std::size_t kLongest = 24;  // letters and digits between the ampersand and semicolon
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != U'&') {
      out.push_back(text[i++]);
      continue;
    }
    const bool numbered = i + 1 < text.size() && text[i + 1] == U'#';
    const std::size_t begin = i + (numbered ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && (IsDecimal(text[end]) || IsAsciiLetter(text[end]))) ++end;
    if (end == begin || end - begin > kLongest || end == text.size() || text[end] != U';') {
      out.push_back(text[i++]);
      continue;
    }
    ++end;
    const std::u32string_view reference = text.substr(i, end - i);
    if (numbered) {
      const std::u32string character = UnescapeHtml(reference);
      // A semicolon that is left says that only a part was understood.
      out += character.find(U';') == character.npos ? character : std::u32string(reference);
    } else {
      const std::string name(reference.begin() + 1, reference.end());
      const Entity* entity = Find(kHtml5, name);
      if (entity == nullptr) entity = Find(kUpperCase, name);
      if (entity != nullptr) {
        AppendDecodedUtf8(entity->character, out);
      } else {
        out += reference;
      }
    }
    i = end;
  }
  return out;
}

}  // namespace cliplens
