#include "cliplens/server/labels.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens::server {
namespace {

void CheckIsThere(const LabelFile& file, const std::string& property) {
  if (std::ranges::find(file.properties, property) != file.properties.end()) return;
  throw Error(ErrorCode::kNotFound, "there is no property '{}'; choose another, or name heads",
              Printable(property));
}

// What the overview says of a head.
Json SummaryOf(const Json& head, const LabelFile& file) {
  Json summary = Json::object();
  for (const char* key :
       {"head", "label", "second", "confidence", "stability", "coverage", "rival"}) {
    summary[key] = JsonField<Json>(head, key, file.place);
  }
  Index explained = 0;
  Json shares = Json::array(), beyond = Json::array();
  for (const Json& property : JsonField<Json>(head, "properties", file.place)) {
    const Json estimate = JsonField<Json>(property, "share", file.place);
    const auto share = JsonField<double>(estimate, "value", file.place);
    shares.push_back(share);
    beyond.push_back(JsonField<double>(property, "beyond", file.place));
    explained += share > std::max(JsonField<double>(property, "chance", file.place), 0.0) ? 1 : 0;
  }
  if (shares.size() != file.properties.size()) {
    throw Error(ErrorCode::kCorruptData, "{}: {} has {} properties, the table {}", file.place,
                JsonExcerpt(head["head"]), shares.size(), file.properties.size());
  }
  summary["explained"] = explained;
  summary["shares"] = std::move(shares);
  summary["beyond"] = std::move(beyond);
  return summary;
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
  labels.file = ParseLabels(json, place, all.layers, all.heads);
  labels.summary = {{"properties_name", JsonField<std::string>(json, "properties_name", place)},
                    {"calibrated", JsonField<bool>(json, "calibrated", place)},
                    {"properties", labels.file.properties},
                    {"scores", JsonField<Json>(json, "scores", place)}};
  const Json entries = JsonField<Json>(json, "heads", place);
  for (std::size_t i = 0; i < labels.file.heads.size(); ++i) {
    const HeadId id = labels.file.heads[i].id;
    labels.summaries.emplace(id, SummaryOf(entries[i], labels.file));
    labels.heads.emplace(id, entries[i]);
  }
  return labels;
}

}  // namespace cliplens::server
