#include "cliplens/model/text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/normal_form.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/text/class_table.h"

namespace cliplens {
namespace {

#include "cliplens/model/text/unicode_classes.inc"

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kSigma = 0x3C3;
constexpr char32_t kFinalSigma = 0x3C2;

// Whether the capital sigma at `at` ends a word: behind a cased character and before none, where
// case-ignorable characters do not count (The Unicode Standard, section 3.13, Final_Sigma).
bool SigmaIsFinal(std::u32string_view text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && (ClassOf(text[before - 1]) & kCaseIgnorable) != 0) --before;
  if (before == 0 || (ClassOf(text[before - 1]) & kCased) == 0) return false;
  std::size_t after = at + 1;
  while (after < text.size() && (ClassOf(text[after]) & kCaseIgnorable) != 0) ++after;
  return after == text.size() || (ClassOf(text[after]) & kCased) == 0;
}

}  // namespace

std::uint8_t ClassOf(char32_t c) {
  static const ClassTable table(kClassRanges);
  return table[c];
}

std::size_t AppendDecodedUtf8(std::string_view text, std::u32string& out) {
  out.reserve(out.size() + text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) {
      return static_cast<char32_t>(static_cast<unsigned char>(text[i + k]));
    };
    if (byte(0) < 0x80) {
      out.push_back(byte(0));
      ++i;
      continue;
    }
    const std::size_t length = Utf8SequenceLength(text.substr(i, 4));
    if (length == 0) return i;
    char32_t c = byte(0) & (0x7Fu >> length);
    for (std::size_t k = 1; k < length; ++k) c = c << 6 | (byte(k) & 0x3F);
    out.push_back(c);
    i += length;
  }
  return std::string_view::npos;
}

std::u32string DecodeUtf8(std::string_view text) {
  std::u32string out;
  const std::size_t bad = AppendDecodedUtf8(text, out);
  if (bad != std::string_view::npos) {
    throw Error(ErrorCode::kInvalidArgument,
                "the text is not UTF-8: byte {} of {} is 0x{:02X}, which begins no character; save "
                "it as UTF-8",
                bad, text.size(), static_cast<unsigned char>(text[bad]));
  }
  return out;
}

void AppendUtf8(char32_t c, std::string& out) {
  const auto put = [&](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string EncodeUtf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char32_t c : text) AppendUtf8(c, out);
  return out;
}

std::u32string Lower(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c < 0x80) {
      out.push_back(c >= U'A' && c <= U'Z' ? c + 0x20 : c);
    } else if (c == kCapitalSigma) {
      out.push_back(SigmaIsFinal(text, i) ? kFinalSigma : kSigma);
    } else if (c == kCapitalIWithDot) {
      out += U"i\u0307";  // the one character whose lower case is longer
    } else if ((ClassOf(c) & kUnassigned) != 0) {
      out.push_back(c);
    } else {
      out.push_back(LowerCaseOf(c));
    }
  }
  return out;
}

std::u32string NormalizeNfc(std::u32string_view text) {
  return NormalizeNfc(text, [](char32_t c) { return (ClassOf(c) & kUnassigned) != 0; });
}

std::u32string NormalizeNfc(std::u32string_view text, bool (*unknown)(char32_t)) {
  return ComposedForm(text, unknown);
}

std::u32string CompatibilityForm(char32_t c) { return CompatibilityFormOf(c); }

}  // namespace cliplens
