#include "cliplens/io/normal_form.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <utf8proc.h>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

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

// Sorts runs of marks by combining class. The library's own sort takes quadratic time on a long
// run.
void SortMarks(std::vector<utf8proc_int32_t>& decomposed) {
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
}

// Takes what was decomposed, in order and, for a composed form, composed.
void AppendForm(std::vector<utf8proc_int32_t>& decomposed, bool compose, std::u32string& out) {
  SortMarks(decomposed);
  auto count = static_cast<utf8proc_ssize_t>(decomposed.size());
  if (compose) {
    count = utf8proc_normalize_utf32(
        decomposed.data(), count,
        static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    if (count < 0) {
      throw Error(ErrorCode::kInternal, "text cannot be composed: {}", utf8proc_errmsg(count));
    }
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    out.push_back(static_cast<char32_t>(At(decomposed, i)));
  }
  decomposed.clear();
}

}  // namespace

std::string NormalizedText(std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return static_cast<std::uint8_t>(c) < 0x80; })) {
    return std::string(text);
  }
  std::u32string characters(text.size(), U'\0');
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t c = -1;
    const utf8proc_ssize_t length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                         static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    if (length < 1) return std::string(text);
    characters[count++] = static_cast<char32_t>(c);
    at += static_cast<std::size_t>(length);
  }
  characters.resize(count);
  std::string out;
  for (const char32_t c : ComposedForm(characters, [](char32_t) { return false; })) {
    std::array<utf8proc_uint8_t, 4> bytes;
    const utf8proc_ssize_t length =
        utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
    out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
  return out;
}

std::u32string NormalFormOf(std::u32string_view text, NormalForm form, bool (*unknown)(char32_t)) {
  // Below U+0300 nothing decomposes into characters that would not compose again, and no mark is
  // there to compose with; other forms leave ASCII alone.
  const char32_t first_changed = form == NormalForm::kC ? 0x300 : 0x80;
  if (std::all_of(text.begin(), text.end(), [&](char32_t c) { return c < first_changed; })) {
    return std::u32string(text);
  }
  const bool compose = form == NormalForm::kC || form == NormalForm::kKC;
  const bool compatible = form == NormalForm::kKC || form == NormalForm::kKD;
  const int options =
      (compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE) | UTF8PROC_STABLE;
  std::u32string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> decomposed;
  decomposed.reserve(text.size() + text.size() / 8);
  for (char32_t c : text) {
    if (unknown(c)) {
      // The library may know it as a mark; to the version that is followed nothing joins with it.
      AppendForm(decomposed, compose, out);
      out.push_back(c);
    } else {
      AppendDecomposed(c, options, decomposed);
    }
  }
  AppendForm(decomposed, compose, out);
  return out;
}

std::u32string ComposedForm(std::u32string_view text, bool (*unknown)(char32_t)) {
  return NormalFormOf(text, NormalForm::kC, unknown);
}

std::u32string CompatibilityFormOf(char32_t c) {
  std::vector<utf8proc_int32_t> decomposed;
  AppendDecomposed(c, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, decomposed);
  std::u32string out;
  AppendForm(decomposed, /*compose=*/true, out);
  return out;
}

char32_t LowerCaseOf(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace cliplens
