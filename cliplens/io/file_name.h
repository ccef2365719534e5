// Names of files as text, and back. A name is any bytes; what is written about it (stores, JSON,
// labels) is UTF-8.
//
//   NameText("caf\xe9.png");     // "caf\\xe9.png": a byte that is not UTF-8 as \xNN
//   RawName("caf\\xe9.png");     // "caf\xe9.png"
//
// A name that is UTF-8 stays as it is. Only where it holds what looks like such an escape is the
// escape's backslash written as \x5c, so that RawName(NameText(name)) == name for every name, and
// two names have the same text only if they are the same.
#pragma once

#include <string>
#include <string_view>

namespace cliplens {

std::string NameText(std::string_view name);
std::string RawName(std::string_view text);

}  // namespace cliplens
