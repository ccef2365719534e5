// Answers of the explorer that no verb gives, as JSON (cliplens/server/openapi.json).
//
//   const std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
//   Print(DumpJson(OverviewJson(store.info(), shares)));
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/variance.h"
#include "cliplens/app/report_content.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens {

// The path of a picture by its number in the store.
using PathOfItem = std::function<std::string(Index item)>;

// "cliplens.overview/1"; its "labels" are null.
Json OverviewJson(const StoreInfo& store, const std::vector<ComponentShare>& shares);

// "cliplens.head/2"; its "label" is null. `shares` are those of all components.
Json HeadJson(const StoreInfo& store, const TextPool& pool, const ReportHead& head,
              const std::vector<ComponentShare>& shares, const PathOfItem& path_of);

struct ItemList {
  struct Entry {
    Index number = 0;
    Item item;
  };
  Index total = 0;  // items that match
  Index from = 0;   // the place of the first entry among them
  std::vector<Entry> entries;
};
Json ItemListJson(const ItemList& list);  // "cliplens.items/1"

// A picture's scores with texts, best first.
struct ScoresReport {
  struct Score {
    std::string text;
    double score = 0;  // cosine
    double probability = 0;
    std::optional<double> edited = {};  // the cosine after an edit
  };
  std::string model_name;
  std::string fingerprint;
  std::string picture;
  std::vector<Score> scores;
};
Json ScoresJson(const ScoresReport& report);  // "cliplens.scores/1"

// Members of "cliplens.explorer.edit/2": what is edited, and pictures, best first.
Json EditedComponentsJson(const std::vector<ComponentId>& targets, bool mean, double scale);
Json RankingJson(const std::vector<ScoredItem>& found, const PathOfItem& path_of);
// The scores of a picture before and after.
Json EditedScoresJson(const ScoresReport& report);

}  // namespace cliplens
