#include "cliplens/app/matches.h"

#include "cliplens/analysis/variance.h"

namespace cliplens {
namespace {

MatchedStore Named(const MatchSide& side) {
  MatchedStore named{.info = side.store->info(), .shares = {}, .labels = side.labels};
  for (const ComponentShare& share :
       ComponentShares(side.store->statistics(), side.store->basis())) {
    if (share.head >= 0) named.shares[share.head_id()] = share.share;
  }
  return named;
}

}  // namespace

MatchReport MatchStores(const MatchSide& a, const MatchSide& b, const MatchOptions& options) {
  MatchReport report;
  report.match = MatchHeads(*a.store, *b.store, options);
  report.a = Named(a);
  report.b = Named(b);
  return report;
}

}  // namespace cliplens
