// Pictures in a few words as a table and JSON (docs/json.md).
//
//   DescriptionChoice choice;
//   choice.pictures.images.images = "duck.png";
//   choice.texts = "phrases.txt";
//   Print(DescriptionTable(Describe(model, choice, {})));
#pragma once

#include <string>

#include "cliplens/app/description.h"
#include "cliplens/io/json.h"

namespace cliplens {

std::string DescriptionTable(const Description& description);
// "cliplens.describe/1".
Json DescriptionJson(const Description& description);

}  // namespace cliplens
