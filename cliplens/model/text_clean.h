// The cleaning that CLIP's tokenizer does before it splits a text into words.
//
//   CleanText("  Caf\xC3\xA9 &amp; “bar” ");   // U"café & \"bar\""
//
// Equal to open_clip's tokenizer (`clean="lower"`): ftfy.fix_text, html.unescape twice, white space
// made single, str.lower(). The behaviour is that of ftfy 6.3.1 on Python 3.11 (Unicode 14),
// mojibake repair included; another Python differs in characters that its Unicode added.
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

// Throws Error(kInvalidArgument) with the byte offset if `text` is not UTF-8, Error(kExhausted) if
// it is built so that its repair would take hours (ten thousands of nested character references).
std::u32string CleanText(std::string_view text);

// The first of these steps alone, ftfy.fix_text: character references, mojibake, ligatures, width,
// quotes, line ends, terminal escapes, control characters and normal form C.
std::u32string FixText(std::u32string_view text);

}  // namespace cliplens
