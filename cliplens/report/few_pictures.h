// A line below a figure of few pictures: what they do not support, and how many would do.
//
//   Print(FewPicturesLine(27, EnoughForSpan(35), "shares hold for these alone"));
//   // only 27 pictures: shares hold for these alone; 105 or more would do (docs/pictures.md)
//
// The numbers that would do are measured: docs/pictures.md, `python -m bench.pictures`.
#pragma once

#include <string>
#include <string_view>

#include "cliplens/base/index.h"

namespace cliplens {

// Three pictures for each of the K+3 directions in which a head can vary.
constexpr Index EnoughForSpan(Index factor_width) { return 3 * factor_width; }
inline constexpr Index kEnoughForLosses = 800;  // bounds of single losses of `ablate`
inline constexpr Index kEnoughForSearch = 50;   // the mean about which `search` compares
inline constexpr Index kEnoughForCue = 100;     // heads of `edit suggest`

// Empty where there are enough.
std::string FewPicturesLine(Index images, Index enough, std::string_view what);

}  // namespace cliplens
