// Labels of heads, and labels against known factors, as JSON (docs/json.md), CSV and tables.
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/head_labels.h"
#include "cliplens/analysis/label_scores.h"
#include "cliplens/analysis/label_truth.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct LabelReport {
  StoreInfo store;
  std::string properties_name;  // of the property table's file
  PropertyTable table;
  TextPool pool;            // that the table was made from
  Array<float, 2> texts;    // its unit rows [M, E]
  bool calibrated = false;  // the model is one that the confidence was calibrated for
  std::vector<HeadLabel> labels;
  LabelScores scores;
  std::string scores_pool;  // of the texts that the scores were made with
};

// Heads that a property of the table explains more of than chance does, the largest share first.
std::vector<const HeadLabel*> HeadsOf(const LabelReport& report, std::size_t property);

// The rows [M, E] of a property's texts, in the order in which "cliplens.label/2" has them.
Array<float, 2> TextsOf(const LabelReport& report, std::size_t property);

// "cliplens.label/2". items: those of the store, which name the pictures.
Json LabelJson(const LabelReport& report, const std::vector<Item>& items);
// Whose heads they are, and their scores; for a model beside another.
Json LabelSummaryJson(const LabelReport& report);
// One line a head and property.
std::string LabelCsv(const LabelReport& report);
// Heads with their labels, then the heads of each property, then the scores.
std::string LabelTable(const LabelReport& report);
// Scores of two models side by side, and how many heads each has for every property of the first.
std::string LabelComparisonTable(const LabelReport& first, const LabelReport& second);

// "cliplens.evaluate.labels/2".
Json LabelEvaluationJson(const LabelReport& report, const std::vector<Factor>& factors,
                         const std::vector<HeadTruth>& truth, const LabelEvaluation& evaluation,
                         Index images);
std::string LabelEvaluationTable(const LabelReport& report, const std::vector<Factor>& factors,
                                 const std::vector<HeadTruth>& truth,
                                 const LabelEvaluation& evaluation, Index images);

}  // namespace cliplens
