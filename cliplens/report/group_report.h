// Accuracy by group as JSON (docs/json.md), CSV and a table.
//
//   const GroupReport report =
//       MakeGroups(store, model,
//                  {.classes = {.classes = "birds.txt"}, .attribute = "place_kind"}, {});
//   Print(GroupTable(report));
//   WriteFileAtomically("groups.csv", GroupCsv(report));
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/app/groups.h"
#include "cliplens/io/json.h"

namespace cliplens {

// Means further apart than this come from different pictures; see docs/groups.md.
inline constexpr double kFarMeans = 0.5;

// Mean and standard deviation over the rows random-1 ... random-n, and the best, of a figure.
struct RandomSummary {
  double best = 0;
  double mean = 0;
  double deviation = 0;  // n − 1
};
std::optional<RandomSummary> SummaryOfRandom(const GroupResult& result, Estimate GroupRow::*figure);

// How far the class logits follow the attribute before any edit; empty where it was not asked for.
std::string GroupLeanText(const GroupReport& report);

// A row's name as people read it.
std::string GroupRowText(const GroupReport& report, const std::string& name);

// A line for each pair of means that lies far apart.
std::vector<std::string> GroupWarnings(const GroupReport& report);

// An entry of its list "rows"; classes and values of the attribute by number.
Json GroupRowJson(const GroupRow& row, const std::vector<std::string>& classes,
                  const std::vector<std::string>& values);
Json GroupJson(const GroupReport& report);  // "cliplens.groups/2"
// One line a row and group, then the worst, the average and the mean of groups.
std::string GroupCsv(const GroupReport& report);
std::string GroupTable(const GroupReport& report);

}  // namespace cliplens
