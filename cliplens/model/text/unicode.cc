#include "cliplens/model/text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include <utf8proc.h>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
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

int CombiningClass(char32_t c) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

void AppendDecomposed(char32_t c, int options, std::vector<utf8proc_int32_t>& out) {
  std::array<utf8proc_int32_t, 32> parts;  // 18 is the longest decomposition of Unicode
  int boundary = UTF8PROC_BOUNDCLASS_START;
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(c), parts.data(), static_cast<utf8proc_ssize_t>(parts.size()),
      static_cast<utf8proc_option_t>(options), &boundary);
  if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
    throw Error(ErrorCode::kInternal, "U+{:04X} cannot be decomposed: {}",
                static_cast<std::uint32_t>(c), utf8proc_errmsg(count));
  }
  out.insert(out.end(), parts.begin(), parts.begin() + count);
}

// Sorts runs of marks by combining class, then composes. The library's own sort takes quadratic
// time on a long run, so it is given sorted text.
void AppendComposed(std::vector<utf8proc_int32_t>& decomposed, std::u32string& out) {
  const auto is_mark = [](utf8proc_int32_t c) {
    return CombiningClass(static_cast<char32_t>(c)) != 0;
  };
  for (auto begin = std::find_if(decomposed.begin(), decomposed.end(), is_mark);
       begin != decomposed.end();) {
    const auto end = std::find_if_not(begin, decomposed.end(), is_mark);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return CombiningClass(static_cast<char32_t>(a)) < CombiningClass(static_cast<char32_t>(b));
    });
    begin = std::find_if(end, decomposed.end(), is_mark);
  }
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(decomposed.data(), static_cast<utf8proc_ssize_t>(decomposed.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  if (count < 0) {
    throw Error(ErrorCode::kInternal, "text cannot be composed: {}", utf8proc_errmsg(count));
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    out.push_back(static_cast<char32_t>(At(decomposed, i)));
  }
  decomposed.clear();
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
      out.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
  }
  return out;
}

std::u32string NormalizeNfc(std::u32string_view text) {
  return NormalizeNfc(text, [](char32_t c) { return (ClassOf(c) & kUnassigned) != 0; });
}

std::u32string NormalizeNfc(std::u32string_view text, bool (*unknown)(char32_t)) {
  // Below U+0300 nothing decomposes into characters that would not compose again, and no mark is
  // there to compose with.
  constexpr char32_t kFirstMark = 0x300;
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < kFirstMark; })) {
    return std::u32string(text);
  }
  std::u32string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> decomposed;
  decomposed.reserve(text.size() + text.size() / 8);
  for (char32_t c : text) {
    if (unknown(c)) {
      // The library may know it as a mark; to the version that is followed nothing joins with it.
      AppendComposed(decomposed, out);
      out.push_back(c);
    } else {
      AppendDecomposed(c, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, decomposed);
    }
  }
  AppendComposed(decomposed, out);
  return out;
}

std::u32string CompatibilityForm(char32_t c) {
  std::vector<utf8proc_int32_t> decomposed;
  AppendDecomposed(c, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, decomposed);
  std::u32string out;
  AppendComposed(decomposed, out);
  return out;
}

}  // namespace cliplens
