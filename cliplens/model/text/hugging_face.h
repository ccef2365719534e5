// Characters as Hugging Face's `tokenizers` package sees them; transformers' CLIPTokenizer runs on
// it.
//
//   NormalizeForHuggingFace(U"Cafe\u0301 \t ΣΑΣ");  // U"café σασ"
//
// The classes are generated from the package itself (tools/generate_text_tables.py). Its parts
// follow three versions of Unicode: the oldest for normalization, a newer one for letters, numbers
// and white space, the newest for lower case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cliplens/io/normal_form.h"

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

// Bits of GraphemeClassOf; hugging_face_marks.inc is written with these and the next values.
enum GraphemeClass : std::uint8_t {
  kGraphemeExtends = 1,   // joins with what stands before it
  kGraphemePrepends = 2,  // joins with what follows
  kGraphemeControl = 4,   // joins with nothing
};
std::uint8_t GraphemeClassOf(char32_t c);

// The number of characters of the grapheme (UAX #29) that `text`, which is not empty, begins with.
// Emoji joined by U+200D count one by one.
std::size_t GraphemeLength(std::u32string_view text);

// Bits of BertClassOf: how the clean-up and the split of BERT's tokenizer see a character.
enum BertClass : std::uint8_t {
  kBertSpace = 1,
  kBertPunctuation = 2,
  kBertRemoved = 4,  // a control character
  kBertMark = 8,     // an accent, which is removed with the accents
};
std::uint8_t BertClassOf(char32_t c);

// A normal form in the version of Unicode that the package normalizes by.
std::u32string HuggingFaceForm(std::u32string_view text, NormalForm form);

// The lower case of each character by itself.
std::u32string LowerForHuggingFace(std::u32string_view text);

// The normalizer of CLIPTokenizer: normal form C, each run of white space as one blank, the lower
// case of each character by itself (no final sigma).
std::u32string NormalizeForHuggingFace(std::u32string_view text);

}  // namespace cliplens
