#include "cliplens/server/labels.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens::server {
namespace {

std::string TextOrNone(const Json& head, const char* key, const std::string& place) {
  if (head.contains(key) && head[key].is_null()) return {};
  return JsonField<std::string>(head, key, place);
}

}  // namespace

std::vector<HeadId> LoadedLabels::HeadsOf(const std::string& property) const {
  std::vector<HeadId> found;
  for (const auto& [id, head] : heads) {
    if (head.label == property || head.second == property) found.push_back(id);
  }
  if (found.empty()) {
    throw Error(ErrorCode::kNotFound,
                "no head is labelled '{}'; choose another property, or name heads",
                Printable(property));
  }
  return found;
}

std::vector<HeadShare> LoadedLabels::HeadsTelling(const std::string& property) const {
  const auto p =
      static_cast<std::size_t>(std::ranges::find(properties, property) - properties.begin());
  std::vector<HeadShare> found;
  for (const auto& [id, head] : heads) {
    if (p < properties.size() && head.shares[p] > 0) found.push_back({id, head.shares[p]});
  }
  if (found.empty()) {
    throw Error(ErrorCode::kNotFound,
                "'{}' explains no head better than chance; choose another property, or name heads",
                Printable(property));
  }
  return found;
}

LoadedLabels LabelsFromJson(const Json& json, const std::string& place, int layers, int heads) {
  LoadedLabels labels;
  for (const Json& property : JsonField<Json>(json, "properties", place)) {
    labels.properties.push_back(JsonField<std::string>(property, "property", place));
  }
  labels.summary = {{"properties_name", JsonField<std::string>(json, "properties_name", place)},
                    {"calibrated", JsonField<bool>(json, "calibrated", place)},
                    {"properties", labels.properties},
                    {"scores", JsonField<Json>(json, "scores", place)}};
  for (const Json& head : JsonField<Json>(json, "heads", place)) {
    const auto name = JsonField<std::string>(head, "head", place);
    const std::vector<HeadId> ids = ParseHeads(name, layers, heads);
    if (ids.size() != 1 || labels.heads.contains(ids.front())) {
      throw Error(ErrorCode::kCorruptData, "{}: '{}' is no name of one head, or is there twice",
                  place, Printable(name));
    }
    LoadedLabels::Head loaded{TextOrNone(head, "label", place),
                              TextOrNone(head, "second", place),
                              {},
                              head,
                              Json::object()};
    Json& summary = loaded.summary;
    for (const char* key : {"head", "label", "second", "confidence", "stability", "coverage"}) {
      summary[key] = JsonField<Json>(head, key, place);
    }
    summary["rival"] = JsonField<Json>(head, "rival", place);
    Index explained = 0;
    Json shares = Json::array(), beyond = Json::array();
    for (const Json& property : JsonField<Json>(head, "properties", place)) {
      const auto share = JsonField<double>(property, "share", place);
      const auto chance = JsonField<double>(property, "chance", place);
      shares.push_back(share);
      beyond.push_back(JsonField<double>(property, "beyond", place));
      const bool more = share > std::max(chance, 0.0);
      loaded.shares.push_back(more ? share : 0);
      explained += more ? 1 : 0;
    }
    if (shares.size() != labels.properties.size()) {
      throw Error(ErrorCode::kCorruptData, "{}: {} has {} properties, the table {}", place, name,
                  shares.size(), labels.properties.size());
    }
    summary["explained"] = explained;
    summary["shares"] = std::move(shares);
    summary["beyond"] = std::move(beyond);
    labels.heads.emplace(ids.front(), std::move(loaded));
  }
  return labels;
}

}  // namespace cliplens::server
