#include "cliplens/model/text/hugging_face.h"

#include <algorithm>
#include <iterator>

#include "cliplens/model/text/class_table.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

// Characters first, first + step, ... last, whose lower case lies `delta` further.
struct LowerCaseRange {
  char32_t first;
  char32_t last;
  std::uint8_t step;
  std::int32_t delta;
};

#include "cliplens/model/text/hugging_face_classes.inc"

char32_t LowerOf(char32_t c) {
  if (c < 0x80) return c >= U'A' && c <= U'Z' ? c + 0x20 : c;
  const auto after =
      std::upper_bound(std::begin(kLowerCase), std::end(kLowerCase), c,
                       [](char32_t value, const LowerCaseRange& row) { return value < row.first; });
  if (after == std::begin(kLowerCase)) return c;
  const LowerCaseRange& row = *std::prev(after);
  if (c > row.last || (c - row.first) % row.step != 0) return c;
  return static_cast<char32_t>(static_cast<std::int32_t>(c) + row.delta);
}

bool IsWhiteSpace(char32_t c) {
  return (HuggingFaceClassOf(c) & (kHuggingFaceLetter | kHuggingFaceNumber | kHuggingFaceOther)) ==
         0;
}

}  // namespace

std::uint8_t HuggingFaceClassOf(char32_t c) {
  static const ClassTable table(kHuggingFaceClasses);
  return table[c];
}

std::u32string NormalizeForHuggingFace(std::u32string_view text) {
  const std::u32string composed = NormalizeNfc(
      text, [](char32_t c) { return (HuggingFaceClassOf(c) & kHuggingFaceUnknown) != 0; });
  std::u32string out;
  out.reserve(composed.size());
  bool in_space = false;
  for (const char32_t c : composed) {
    const bool space = IsWhiteSpace(c);
    if (space) {
      if (!in_space) out.push_back(U' ');
    } else if (c == kCapitalIWithDot) {
      out += U"i\u0307";  // the one character whose lower case is longer
    } else {
      out.push_back(LowerOf(c));
    }
    in_space = space;
  }
  return out;
}

}  // namespace cliplens
