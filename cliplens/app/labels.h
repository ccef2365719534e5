// Labels of heads with their scores, by the model that made the store.
//
//   const LabelReport report = MakeLabels(
//       store, model, LabellingOptions{.properties = "properties.txt"}, {.threads = 4});
//   for (const auto& [head, label] : NamesOfHeads(report)) Print(HeadName(head), label);
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/head_labels.h"
#include "cliplens/analysis/label_scores.h"
#include "cliplens/analysis/label_truth.h"
#include "cliplens/app/models.h"
#include "cliplens/app/work.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/text_cache.h"

namespace cliplens {

struct LabelReport {
  StoreInfo store;
  std::string properties_name;  // of the property table's file
  PropertyTable table;
  TextPool pool;          // that the table was made from
  Array<float, 2> texts;  // its unit rows [M, E]
  // Why the confidence is not calibrated here, each as a clause; none where it is.
  std::vector<std::string> uncalibrated;
  std::vector<HeadLabel> labels;
  std::map<Index, std::string> paths;  // of the pictures that are evidence
  LabelScores scores;
  std::string scores_pool;  // of the texts that the scores were made with
};

// Heads of whose variance a property of the table explains more than chance does, the largest share
// first.
std::vector<const HeadLabel*> HeadsOfProperty(const LabelReport& report, std::size_t property);
// The rows [M, E] of a property's texts, in the order in which "cliplens.label/3" has them.
Array<float, 2> RowsOfProperty(const LabelReport& report, std::size_t property);
// The labels of the heads that have one.
std::map<HeadId, std::string> NamesOfHeads(const LabelReport& report);

struct LabelInput {
  std::vector<HeadId> heads;
  TextPool properties;                 // the property table
  std::optional<TextPool> texts = {};  // for the scores; nothing: the property table
  LabelOptions options = {};           // its threads and progress are those of the work
  bool truncate = false;               // texts longer than the context are cut
  std::filesystem::path text_cache = CacheDirectory();  // empty: rows are not kept
};
// The stages are "texts" and "heads". Throws as PropertiesOf, CachedTexts, LabelHeads and
// TextSpanOfHeads.
LabelReport MakeLabels(const Store& store, const RowModel& model, LabelInput input,
                       const Work& work);

// The same by names.
struct LabellingOptions {
  std::string properties = {};  // a property table; empty: the shipped one for photographs
  std::string texts = {};       // a pool for the scores; empty: the property table
  std::string heads = "all";
  LabelOptions label = {};  // its threads and progress are those of the work
  bool truncate = false;    // texts longer than the context are cut
};
// Throws as MakeLabels, ReadTextPool and ParseHeads.
LabelReport MakeLabels(const Store& store, const RowModel& model, const LabellingOptions& options,
                       const Work& work);

// Labels against known factors of the pictures.
struct TruthChoice {
  std::vector<std::string> factors;  // attributes of the pictures, named as the properties
  std::string only = {};             // ATTRIBUTE=VALUE: on these pictures alone; empty: all
};
struct LabelTruthReport {
  LabelReport labels;
  std::vector<Factor> factors;
  std::vector<HeadTruth> truth;  // of each head of `labels`
  LabelEvaluation evaluation;
  Index images = 0;  // that the truth is measured on
};
// `model` is that of the store. Throws as MakeLabels, KnownFactors and TruthOfHeads,
// Error(kNotFound) where no picture is left, and Error(kInvalidArgument) for a factor that is no
// property of the table.
LabelTruthReport LabelsAgainstTruth(const Store& store, const LazyModel& model,
                                    const LabellingOptions& options, const TruthChoice& choice,
                                    const Work& work);

}  // namespace cliplens
