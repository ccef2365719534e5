// Labels of heads as the explorer needs them: what `cliplens label` writes, checked.
//
//   const char* file = "labels.json";
//   const LoadedLabels labels = LabelsFromJson(ReadJsonFile(file), file, HeadsIn(store));
//   Print(labels.HeadsOf("colour").size());
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cliplens/analysis/search.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/label_file.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/io/json.h"

namespace cliplens::server {

struct LoadedLabels {
  LabelFile file;
  std::map<HeadId, Json> heads;  // their entries of "cliplens.label/3"
  Json overview;                 // as LabelOverviewJson
  Array<float, 2> texts;  // unit rows of TextsOfProperties(file); none until they are embedded

  // As cliplens::HeadsLabelled and SpaceOfProperty, but Error(kNotFound) for a property that the
  // table lacks too.
  std::vector<HeadId> HeadsOf(const std::string& property) const;
  SearchSpace SpaceOf(const std::string& property) const;
};

// From "cliplens.label/3". Throws Error(kCorruptData) that names `place` for any other JSON.
LoadedLabels LabelsFromJson(const Json& json, const std::string& place, const ModelHeads& all);

}  // namespace cliplens::server
