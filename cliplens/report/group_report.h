// Accuracy by group as JSON (docs/json.md), CSV and a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/groups.h"
#include "cliplens/io/json.h"
#include "cliplens/report/ablation_report.h"

namespace cliplens {

struct GroupReport {
  AccuracySetting setting;  // its means: those of random heads and of the recipe
  std::vector<std::string> classes;
  std::string attribute;
  std::vector<std::string> values;
  Index without = 0;       // pictures without the attribute
  std::string edit;        // file; empty where heads were named
  std::string edit_means;  // whose means the edit has
  std::string edit_names;  // its components
  std::uint64_t seed = 1;  // of the random heads
  Index draws = 0;
  double means_distance = 0;  // of the edit's means from the store's own
  double other_distance = 0;  // of the means that stand in otherwise
  // How far the class logits follow the attribute before any edit (LeanText), within each class;
  // empty where it was not asked for.
  std::string lean;
  GroupResult result;  // rows base, edit ..., random-1 ... random-n, recipe ...
};

// Means of distance above this are those of other pictures; see docs/groups.md.
inline constexpr double kFarMeans = 0.5;

// Mean and standard deviation over the rows random-1 ... random-n, and the best, of a figure.
struct RandomSummary {
  double best = 0;
  double mean = 0;
  double deviation = 0;  // n − 1
};
std::optional<RandomSummary> SummaryOfRandom(const GroupResult& result, Estimate GroupRow::*figure);

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
