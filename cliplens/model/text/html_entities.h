// Character references of HTML: &eacute; &#233; &#xE9;.
//
//   UnescapeHtml(U"&eacute; &#233; &#xE9;");   // U"é é é"
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

// Python's html.unescape: all named references, also those without a semicolon and those that are
// the beginning of a longer word, and numbers, of which some stand for Windows-1252 characters and
// some for nothing.
std::u32string UnescapeHtml(std::u32string_view text);

// ftfy's stricter form: references that end in a semicolon, and names in upper case where that is
// unambiguous (&NTILDE;).
std::u32string UnescapeClosedHtml(std::u32string_view text);

}  // namespace cliplens
