// Labels of heads as the explorer needs them: what `cliplens label` writes, checked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/io/json.h"
#include "cliplens/report/label_file.h"

namespace cliplens::server {

struct LoadedLabels {
  struct Head {
    std::string label, second;  // empty: none
    // Of each property the share of the head's variance that it explains; 0 where that is no more
    // than chance.
    std::vector<double> shares;
    Json json;     // its entry of "cliplens.label/1"
    Json summary;  // of the overview
  };
  std::vector<std::string> properties;
  std::map<HeadId, Head> heads;
  Json summary;  // what stands beside the heads: names, scores

  // The heads whose label or second label is `property`. Throws Error(kNotFound) where there is
  // none.
  std::vector<HeadId> HeadsOf(const std::string& property) const;
  // The heads of which `property` explains more than chance does. Throws as above.
  std::vector<HeadShare> HeadsTelling(const std::string& property) const;
};

// From "cliplens.label/1". Throws Error(kCorruptData) naming `place` for what is no such thing.
LoadedLabels LabelsFromJson(const Json& json, const std::string& place, int layers, int heads);

}  // namespace cliplens::server
