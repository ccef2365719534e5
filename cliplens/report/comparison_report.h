// Two stores compared, as JSON (docs/json.md), tables and a sheet of heat maps.
//
//   const Store other = Store::Open("after/");
//   const ComparisonReport report = CompareStores(store, other, {}, {});
//   Print(ComparisonTable(report, {.heads = 10}), DumpJson(ComparisonJson(report, {})));
#pragma once

#include <string>

#include "cliplens/app/comparison.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct ComparisonView {
  ChangeOrder order = ChangeOrder::kSimilarity;
  Index heads = 10;      // in the table
  Index components = 3;  // that speak for a flip, in the table
};

// "cliplens.compare/1".
Json ComparisonJson(const ComparisonReport& report, const ComparisonView& view);
std::string ComparisonTable(const ComparisonReport& report, const ComparisonView& view);
// A line for each component, by number; what is not known is empty.
std::string ComparisonCsv(const ComparisonReport& report);
// What was compared on what, as people read it: two sentences.
std::string ComparisonBasis(const ComparisonReport& report);

// A row for each map: the picture, the map before and after. Throws Error(kInvalidArgument) without
// maps.
Image ComparisonSheet(const ComparisonReport& report);
// The scale of a pair's maps.
double ScaleOf(const MapPair& pair);

}  // namespace cliplens
