// What the verbs share that measure accuracy by group.
#pragma once

#include <cstdint>
#include <string>

#include "cliplens/cli/accuracy.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/group_report.h"

namespace cliplens::cli {

struct GroupingOptions {
  std::string attribute;
  std::string edit;      // a file, or
  std::string heads;     // components by name, or
  std::string property;  // the heads that `labels` names it for
  std::string labels;
  std::string means;
  Index random = 5;
  std::uint64_t seed = 1;
  bool skip_empty = false;
  bool lean = false;  // also say how far the class logits follow the attribute before any edit
};

// Accuracy by group of a store that was named `store_name`: as it is, with the edit, with random
// heads, with the paper's recipe.
GroupReport MakeGroups(const Store& store, const std::string& store_name, const ClipModel& model,
                       const GroupingOptions& options, const AccuracyOptions& accuracy,
                       const Common& common);

}  // namespace cliplens::cli
