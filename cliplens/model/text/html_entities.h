// Character references of HTML: &eacute; &#233; &#xE9;.
//
//   UnescapeHtml(U"&eacute; &#233; &#xE9;");   // U"é é é"
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

// Python's html.unescape. It replaces all named references, also without a semicolon and at the
// beginning of a longer word, and all numbers; some numbers stand for Windows-1252 characters and
// some for nothing.
std::u32string UnescapeHtml(std::u32string_view text);

// ftfy's stricter form. It replaces only references that end in a semicolon, and names in upper
// case if they are unambiguous (&NTILDE;).
std::u32string UnescapeClosedHtml(std::u32string_view text);

}  // namespace cliplens
