// JSON as Python's json module writes it, which is not all JSON.
//
//   Print(DumpJson(ParsePythonJson("[1, NaN]", "a list")));   // [1,null]
#pragma once

#include <string>
#include <string_view>

#include "cliplens/io/json.h"

namespace cliplens {

// As ParseJson, but NaN, Infinity and -Infinity are null: numbers that are none, as of tables with
// gaps. Columns in messages are then those of the text with `null` in their place.
Json ParsePythonJson(std::string_view text, const std::string& name);

}  // namespace cliplens
