// What a search found, as JSON (docs/json.md) and a table.
//
//   const LazyModel of_store(store, {});
//   Print(SearchTable(FindPictures(store, of_store, {.queries = {ParseQuery("12")}}, {})));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/search.h"
#include "cliplens/io/json.h"

namespace cliplens {

// The list of pictures that were found, best first, each with its rank. items[i] is found[i].
Json RankingJson(const std::vector<ScoredItem>& found, const std::vector<Item>& items);

// "cliplens.search/1".
Json SearchJson(const SearchReport& report);
std::string SearchTable(const SearchReport& report);

}  // namespace cliplens
