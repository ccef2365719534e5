// Finds pictures of a store that are like some pictures and texts, and unlike others, in a chosen
// space.
//
//   const SearchReport found = FindPictures(
//       store, LazyModel(store, {}),
//       {.queries = {{.kind = SearchQuery::Kind::kImage, .text = "duck.png"}}}, {});
//   for (const ScoredItem& one : found.results) Print(one.item, one.score);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/search.h"
#include "cliplens/app/models.h"
#include "cliplens/app/spaces.h"
#include "cliplens/app/work.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct SearchQuery {
  enum class Kind { kItem, kImage, kText } kind = Kind::kItem;
  Index item = 0;
  std::string text = {};  // the text, or the picture's path
  bool unlike = false;
  std::optional<std::string> in = {};  // where it is compared, as SpaceChoice::In takes it

  std::string Name() const;  // "item 12", "bird.png", "\"a duck\""
};
// A picture's file, an item's number, or text:WORDS.
SearchQuery ParseQuery(const std::string& given);

struct SearchReport {
  struct Term {
    std::string query;  // as SearchQuery::Name gives it
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

struct SearchChoice {
  std::vector<SearchQuery> queries;
  SpaceChoice space = {};
  bool space_is_chosen = false;  // else an index answers in its own space
  Index count = 10;
  StorePart part = {};  // of the store's shards that is searched
  // A FAISS index that answers in place of the store, made where the file is not there.
  std::string index = {};
  bool truncate = false;  // texts longer than the context
};

// The items with the largest sum of scores; items that are queries are left out. The model is
// loaded only for queries that need it. The stages are "texts", "index" and "shards". Throws as
// OpenSpace, Search, ReadPicture and ReadSearchIndex, and Error(kInvalidArgument) without a query,
// for several queries of an index, and for an index of
// another space than the chosen one.
SearchReport FindPictures(const Store& store, const LazyModel& model, const SearchChoice& choice,
                          const Work& work);

// The items that were found, in their order; only the shards that they lie in are read.
std::vector<Item> ItemsOf(const Store& store, const std::vector<ScoredItem>& found);

}  // namespace cliplens
