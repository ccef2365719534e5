// Edits as JSON (docs/json.md) and as tables.
#pragma once

#include <string>

#include "cliplens/decompose/edit.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.edit.show/1": what an edit does, without the means' numbers.
Json EditJson(const Edit& edit, const std::string& file);
std::string EditTable(const Edit& edit);

}  // namespace cliplens
