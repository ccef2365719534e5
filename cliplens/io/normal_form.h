// Normal forms of Unicode. Only this header and normal_form.cc use the library that knows them.
//
//   NormalizedText("u\u0308") == "\u00fc";   // what Macs write in names, and what keyboards write
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

// Normalization Form C of UTF-8; text that is not UTF-8 stays as it is.
std::string NormalizedText(std::string_view text);

// The forms of UAX #15: decomposed or composed, and K: characters of the same meaning made one.
enum class NormalForm { kC, kD, kKC, kKD };

// In time O(n log n) on any text. Characters that are `unknown` neither decompose nor compose and
// keep their place.
std::u32string NormalFormOf(std::u32string_view text, NormalForm form, bool (*unknown)(char32_t));
// Normalization Form C.
std::u32string ComposedForm(std::u32string_view text, bool (*unknown)(char32_t));

// Normalization Form KC of one character.
std::u32string CompatibilityFormOf(char32_t c);

// The lower case of one character, where it is one character.
char32_t LowerCaseOf(char32_t c);

}  // namespace cliplens
