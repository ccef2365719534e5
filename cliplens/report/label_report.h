// Labels of heads, and labels against known factors, as JSON (docs/json.md), CSV and tables.
//
//   const LabelReport report = MakeLabels(store, model, LabellingOptions(), {});
//   Print(LabelTable(report), DumpJson(LabelJson(report)));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/label_file.h"
#include "cliplens/app/labels.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.label/3".
Json LabelJson(const LabelReport& report);
// The model and the scores of its labels, for a model that is compared with another.
Json LabelSummaryJson(const LabelReport& report);
// The explorer's overview of "cliplens.label/3"; `file` is what ParseLabels read from it. Throws
// Error(kCorruptData) that names the file for any other JSON.
Json LabelOverviewJson(const Json& labels, const LabelFile& file);
// One line a head and property.
std::string LabelCsv(const LabelReport& report);
// Heads with their labels, then the heads of each property, then the scores.
std::string LabelTable(const LabelReport& report);
// Scores of two models side by side, and how many heads each has for every property of the first.
std::string LabelComparisonTable(const LabelReport& first, const LabelReport& second);

// "cliplens.evaluate.labels/3".
Json LabelEvaluationJson(const LabelTruthReport& report);
std::string LabelEvaluationTable(const LabelTruthReport& report);

}  // namespace cliplens
