// Characters as Hugging Face's `tokenizers` package sees them; transformers' CLIPTokenizer runs on
// it.
//
//   NormalizeForHuggingFace(U"Cafe\u0301 \t ΣΑΣ");  // U"café σασ"
//
// The classes are generated from the package itself (tools/generate_text_tables.py). Its parts
// follow three versions of Unicode: the oldest for normalization, a newer one for letters, numbers
// and white space, the newest for lower case.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cliplens {

// Bits of HuggingFaceClassOf; hugging_face_classes.inc is written with these values. White space
// has none of the first three.
enum HuggingFaceClass : std::uint8_t {
  kHuggingFaceLetter = 1,   // \p{L} of the tokenizer's expression
  kHuggingFaceNumber = 2,   // \p{N}
  kHuggingFaceOther = 4,    // [^\s\p{L}\p{N}]
  kHuggingFaceUnknown = 8,  // neither decomposed nor composed nor reordered
};

// The classes of a code point, at most 0x10FFFF.
std::uint8_t HuggingFaceClassOf(char32_t c);

// The normalizer of CLIPTokenizer: normal form C, each run of white space as one blank, the lower
// case of each character by itself (no final sigma).
std::u32string NormalizeForHuggingFace(std::u32string_view text);

}  // namespace cliplens
