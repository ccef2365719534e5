// Text as code points, and how the reference tokenizer sees each of them.
//
//   const std::u32string text = DecodeUtf8("Sigma: ΟΔΟΣ");
//   Lower(text);                                  // "sigma: οδος", with the final form
//
// The reference runs on Python and on its `regex` module, which follow different versions of
// Unicode. The classes are generated from both (tools/generate_text_tables.py), so results do not
// depend on the version of the library that normalises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cliplens {

// Bits of ClassOf; unicode_classes.inc is written with these values.
enum CharacterClass : std::uint8_t {
  kLetter = 1,          // \p{L} of the tokenizer's expression
  kNumber = 2,          // \p{N}
  kSymbol = 4,          // [^\s\p{L}\p{N}]; U+0345 is none of the three, for the expression ignores
                        // case and this mark has a letter as its capital form
  kSpace = 8,           // Python's str.isspace
  kDecimalDigit = 16,   // \d
  kCased = 32,          // counts as a letter beside a capital sigma
  kCaseIgnorable = 64,  // is passed over beside a capital sigma
  kUnassigned = 128,    // not a character yet in Python's version of Unicode
};

// The classes of a code point, at most 0x10FFFF.
std::uint8_t ClassOf(char32_t c);

inline bool IsSpace(char32_t c) { return (ClassOf(c) & kSpace) != 0; }

inline bool IsAsciiLetter(char32_t c) { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }

// The position of the first byte that is not UTF-8 (overlong forms, surrogates and values above
// U+10FFFF count), npos if there is none. Appends what stands before it to `out`.
std::size_t AppendDecodedUtf8(std::string_view text, std::u32string& out);

// Throws Error(kInvalidArgument) naming the byte offset if the text is not UTF-8.
std::u32string DecodeUtf8(std::string_view text);

void AppendUtf8(char32_t c, std::string& out);
std::string EncodeUtf8(std::u32string_view text);

// The replacement character, which stands for bytes that are no character.
inline constexpr char32_t kReplacement = 0xFFFD;

// U+0130: its lower case is an i and a combining dot.
inline constexpr char32_t kCapitalIWithDot = 0x130;

// Python's str.lower(): full lower-casing with the final sigma.
std::u32string Lower(std::u32string_view text);

// Normalization Form C (UAX #15), in time O(n log n) on any text. Characters that are `unknown`
// neither decompose nor compose and keep their place.
std::u32string NormalizeNfc(std::u32string_view text, bool (*unknown)(char32_t));

// The same in Python's version of Unicode.
std::u32string NormalizeNfc(std::u32string_view text);

// Normalization Form KC of one character.
std::u32string CompatibilityForm(char32_t c);

}  // namespace cliplens
