// What a search found, as JSON (docs/json.md) and a table.
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/search.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct SearchReport {
  struct Term {
    std::string query;  // "item 12", "bird.png", "text: a duck"
    std::string in;     // "embedding", "L11.H3", "property colour (labels.json)"
    bool unlike = false;
    SearchSpace space;
  };
  StoreInfo store;
  std::vector<Term> terms;
  std::string index;  // file that answered; empty: the store itself
  std::vector<ScoredItem> results;
  std::vector<Item> items;  // of the results, in their order
};

// The items that were found, in their order; only the shards that they lie in are read.
std::vector<Item> ItemsOf(const Store& store, const std::vector<ScoredItem>& found);

// "cliplens.search/1".
Json SearchJson(const SearchReport& report);
std::string SearchTable(const SearchReport& report);

}  // namespace cliplens
