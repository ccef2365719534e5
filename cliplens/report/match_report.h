// Matched heads of two stores as JSON (docs/json.md) and a table.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cliplens/analysis/head_match.h"
#include "cliplens/base/component.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct MatchedStore {
  StoreInfo info;
  std::map<HeadId, double> shares;       // of the embedding's variance
  std::map<HeadId, std::string> labels;  // of heads that have one
};
// With the shares of its heads and no labels. Throws as ComponentShares.
MatchedStore MatchedStoreOf(const Store& store);

struct MatchReport {
  MatchedStore a, b;
  HeadMatch match;
};

// "cliplens.match/1".
Json MatchJson(const MatchReport& report);
// The first `count` matches.
std::string MatchTable(const MatchReport& report, Index count);

}  // namespace cliplens
