// Code points of UTF-8 text, and those of them that a terminal obeys instead of showing them.
#pragma once

#include <string_view>

namespace cliplens {

// The code point of one whole UTF-8 sequence.
char32_t CodePointOf(std::string_view sequence);

// Whether a code point shows nothing itself and changes how a terminal shows the text around it:
// marks of direction (U+202E turns a name round), line separators, blanks without width. The
// joiners of emoji and of Persian and Indic scripts (U+200C, U+200D) are no such marks.
bool IsHiddenMark(char32_t c);

}  // namespace cliplens
