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
#include "cliplens/model/text/hugging_face_marks.inc"

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

bool IsFlagLetter(char32_t c) { return c >= 0x1F1E6 && c <= 0x1F1FF; }

// The letters of Hangul: a first consonant, a vowel, a last consonant, and whole syllables without
// and with a last consonant.
enum class Hangul { kNone, kFirst, kVowel, kLast, kOpen, kClosed };

Hangul HangulOf(char32_t c) {
  if (c < 0x1100 || c > 0xD7FB) return Hangul::kNone;
  if (c <= 0x115F || (c >= 0xA960 && c <= 0xA97C)) return Hangul::kFirst;
  if (c <= 0x11A7 || (c >= 0xD7B0 && c <= 0xD7C6)) return Hangul::kVowel;
  if (c <= 0x11FF || c >= 0xD7CB) return Hangul::kLast;
  if (c < 0xAC00 || c > 0xD7A3) return Hangul::kNone;
  return (c - 0xAC00) % 28 == 0 ? Hangul::kOpen : Hangul::kClosed;
}

bool HangulJoins(char32_t before, char32_t c) {
  const Hangul next = HangulOf(c);
  if (next == Hangul::kNone) return false;
  switch (HangulOf(before)) {
    case Hangul::kNone:
      return false;
    case Hangul::kFirst:
      return next != Hangul::kLast;
    case Hangul::kVowel:
    case Hangul::kOpen:
      return next == Hangul::kVowel || next == Hangul::kLast;
    case Hangul::kLast:
    case Hangul::kClosed:
      return next == Hangul::kLast;
  }
  return false;
}

}  // namespace

std::uint8_t HuggingFaceClassOf(char32_t c) {
  static const ClassTable table(kHuggingFaceClasses);
  return table[c];
}

std::uint8_t GraphemeClassOf(char32_t c) {
  static const ClassTable table(kGraphemeClasses);
  return table[c];
}

std::size_t GraphemeLength(std::u32string_view text) {
  std::size_t length = 1;
  std::uint8_t kind = GraphemeClassOf(text[0]);
  bool flag = IsFlagLetter(text[0]);  // a first of two
  for (; length < text.size(); ++length) {
    const char32_t before = text[length - 1];
    const char32_t c = text[length];
    const std::uint8_t next = GraphemeClassOf(c);
    if (before == U'\r' && c == U'\n') continue;
    if (kind == kGraphemeControl || next == kGraphemeControl) break;
    const bool pair = flag && IsFlagLetter(c);
    if (next != kGraphemeExtends && kind != kGraphemePrepends && !pair && !HangulJoins(before, c)) {
      break;
    }
    flag = IsFlagLetter(c) && !pair;
    kind = next;
  }
  return length;
}

std::uint8_t BertClassOf(char32_t c) {
  static const ClassTable table(kBertClasses);
  return table[c];
}

std::u32string HuggingFaceForm(std::u32string_view text, NormalForm form) {
  return NormalFormOf(
      text, form, [](char32_t c) { return (HuggingFaceClassOf(c) & kHuggingFaceUnknown) != 0; });
}

std::u32string LowerForHuggingFace(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (c == kCapitalIWithDot) {
      out += U"i\u0307";  // the one character whose lower case is longer
    } else {
      out.push_back(LowerOf(c));
    }
  }
  return out;
}

std::u32string NormalizeForHuggingFace(std::u32string_view text) {
  const std::u32string composed = HuggingFaceForm(text, NormalForm::kC);
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
