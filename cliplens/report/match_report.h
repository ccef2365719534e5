// Matched heads of two stores as JSON (docs/json.md) and a table.
//
//   const Store other = Store::Open("other/");
//   Print(MatchTable(MatchStores({&store, {}}, {&other, {}}, {}), /*count=*/10));
#pragma once

#include <string>

#include "cliplens/app/matches.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.match/2".
Json MatchJson(const MatchReport& report);
// The first `count` matches.
std::string MatchTable(const MatchReport& report, Index count);

}  // namespace cliplens
