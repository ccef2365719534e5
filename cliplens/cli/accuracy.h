// What verbs share that measure accuracy on a store: classes, their classifier, labels.
#pragma once

#include <memory>
#include <string>

#include "cliplens/cli/verb.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/report/ablation_report.h"

namespace cliplens::cli {

struct AccuracyOptions {
  std::string classes;
  std::string templates = "imagenet";
  std::string label;
  bool truncate = false;
};
// `required`: --classes must be given.
void AddAccuracyOptions(CLI::App* verb, AccuracyOptions& options, bool required = true);

struct AccuracyInput {
  AccuracySetting setting;
  Array<float, 2> classifier;  // [C, E]
  MatchedLabels labels;        // of the store's pictures
};
AccuracyInput ReadAccuracyInput(const Store& store, const ClipModel& model,
                                const AccuracyOptions& options, const Common& common);

}  // namespace cliplens::cli
