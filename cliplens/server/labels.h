// Labels of heads as the explorer needs them: what `cliplens label` writes, checked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/io/json.h"

namespace cliplens::server {

struct LoadedLabels {
  struct Head {
    std::string label, second;  // empty: none
    Json json;                  // its entry of "cliplens.label/1"
    Json summary;               // of the overview
  };
  std::vector<std::string> properties;
  std::map<HeadId, Head> heads;
  Json summary;  // what stands beside the heads: names, scores

  // The heads whose label or second label is `property`. Throws Error(kNotFound) where there is
  // none.
  std::vector<HeadId> HeadsOf(const std::string& property) const;
};

// From "cliplens.label/1". Throws Error(kCorruptData) naming `place` for what is no such thing.
LoadedLabels LabelsFromJson(const Json& json, const std::string& place, int layers, int heads);

}  // namespace cliplens::server
