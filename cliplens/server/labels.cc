#include "cliplens/server/labels.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/label_report.h"

namespace cliplens::server {
namespace {

void CheckIsThere(const LabelFile& file, const std::string& property) {
  if (std::ranges::find(file.properties, property) != file.properties.end()) return;
  throw Error(ErrorCode::kNotFound, "there is no property '{}'; choose another, or name heads",
              Printable(property));
}

}  // namespace

std::vector<HeadId> LoadedLabels::HeadsOf(const std::string& property) const {
  CheckIsThere(file, property);
  return HeadsLabelled(file, property);
}

SearchSpace LoadedLabels::SpaceOf(const std::string& property) const {
  CheckIsThere(file, property);
  return SpaceOfProperty(file, property, texts);
}

LoadedLabels LabelsFromJson(const Json& json, const std::string& place, const ModelHeads& all) {
  LoadedLabels labels;
  labels.file = ParseLabels(json, place, all);
  labels.overview = LabelOverviewJson(json, labels.file);
  const Json entries = JsonField<Json>(json, "heads", place);
  for (std::size_t i = 0; i < labels.file.heads.size(); ++i) {
    labels.heads.emplace(labels.file.heads[i].id, entries[i]);
  }
  return labels;
}

}  // namespace cliplens::server
