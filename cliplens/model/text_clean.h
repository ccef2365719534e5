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

// open_clip's ways to clean a text ("clean" of its tokenizers): all begin with the repair and the
// character references.
enum class TextCleaning {
  kNone,
  kWhitespace,    // single blanks between words
  kLower,         // in lower case, too; CleanText(text)
  kCanonicalize,  // without ASCII punctuation, too, where an underscore counts as a blank
};
std::u32string CleanText(std::string_view text, TextCleaning cleaning);

// The first of these steps alone, ftfy.fix_text: character references, mojibake, ligatures, width,
// quotes, line ends, terminal escapes, control characters and normal form C.
std::u32string FixText(std::u32string_view text);

// Words with one blank between them, none around them; white space as Python sees it.
std::u32string JoinWords(std::u32string_view text);

// Takes Python's string.punctuation out.
void RemoveAsciiPunctuation(std::u32string& text);

}  // namespace cliplens
