// What the verbs share that label heads.
#pragma once

#include <string>
#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/label_report.h"

namespace cliplens::cli {

struct LabellingOptions {
  std::string store;
  std::string properties;
  std::string texts;
  ModelChoice model;
  std::string heads = "all";
  LabelOptions label;
  bool truncate = false;
};
void AddLabellingOptions(CLI::App* verb, LabellingOptions& options);

// Whether the confidence was calibrated for the model: it is one that ships with the program,
// wherever it lies.
bool IsCalibrated(const Store& store);

// Labels of the heads that are named, with scores, by the model that made the store.
LabelReport MakeLabels(const Store& store, const ClipModel& model, const LabellingOptions& options,
                       const Common& common);

}  // namespace cliplens::cli
