// Heads of two stores that tell the same pictures apart, with names and labels.
//
//   const Store other = Store::Open("other/");
//   const MatchReport report = MatchStores({&store, {}}, {&other, {}}, {});
#pragma once

#include <map>
#include <string>

#include "cliplens/analysis/head_match.h"
#include "cliplens/base/component.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct MatchedStore {
  StoreInfo info;
  std::map<HeadId, double> shares;       // of the embedding's variance
  std::map<HeadId, std::string> labels;  // of heads that have one
};

struct MatchReport {
  MatchedStore a, b;
  HeadMatch match;
};

struct MatchSide {
  const Store* store;
  std::map<HeadId, std::string> labels;
};
// Throws as MatchHeads and ComponentShares.
MatchReport MatchStores(const MatchSide& a, const MatchSide& b, const MatchOptions& options);

}  // namespace cliplens
