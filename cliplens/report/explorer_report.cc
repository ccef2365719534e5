#include "cliplens/report/explorer_report.h"

#include "cliplens/report/json.h"

namespace cliplens {
namespace {

Json ScoredItemsJson(const std::vector<ScoredItem>& items, const PathOfItem& path_of) {
  Json list = Json::array();
  for (const ScoredItem& scored : items) {
    list.push_back(
        {{"item", scored.item}, {"path", path_of(scored.item)}, {"score", scored.score}});
  }
  return list;
}

}  // namespace

Json OverviewJson(const StoreInfo& store, const std::vector<ComponentShare>& shares) {
  Json json = {{"format", "cliplens.overview/1"},
               {"model", ModelJson(store)},
               {"data", DataJson(store)},
               {"images", store.images},
               {"components", ComponentsJson(shares)},
               {"labels", nullptr}};
  for (std::size_t i = 0; i < shares.size(); ++i) {
    json["components"][i]["layer"] = shares[i].layer;
    json["components"][i]["head"] = shares[i].head;
  }
  return json;
}

Json HeadJson(const StoreInfo& store, const TextPool& pool, const ReportHead& head,
              const std::vector<ComponentShare>& shares, const PathOfItem& path_of) {
  Json json = SpanJson(store, pool, {head.id}, {head.span}, shares);
  json["format"] = "cliplens.head/2";
  const Json entry = json["heads"][0];
  json.erase("heads");
  for (const auto& [key, value] : entry.items()) json[key] = value;
  for (std::size_t t = 0; t < head.extremes.size(); ++t) {
    json["texts"][t]["highest"] = ScoredItemsJson(head.extremes[t].highest, path_of);
    json["texts"][t]["lowest"] = ScoredItemsJson(head.extremes[t].lowest, path_of);
  }
  json["label"] = nullptr;
  return json;
}

Json ItemListJson(const ItemList& list) {
  Json json = {{"format", "cliplens.items/1"},
               {"total", list.total},
               {"from", list.from},
               {"items", Json::array()}};
  for (const auto& [number, item] : list.entries) {
    Json entry = {{"item", number}, {"path", item.path}, {"label", nullptr}};
    if (item.label) entry["label"] = *item.label;
    entry["attributes"] = item.attributes;
    json["items"].push_back(std::move(entry));
  }
  return json;
}

Json ScoresJson(const ScoresReport& report) {
  Json json = {{"format", "cliplens.scores/1"},
               {"model", {{"name", report.model_name}, {"fingerprint", report.fingerprint}}},
               {"picture", report.picture},
               {"texts", report.scores.size()},
               {"scores", Json::array()}};
  for (const ScoresReport::Score& one : report.scores) {
    Json entry = {{"text", one.text}, {"score", one.score}, {"probability", one.probability}};
    if (one.edited) entry["edited"] = *one.edited;
    json["scores"].push_back(std::move(entry));
  }
  return json;
}

Json EditedComponentsJson(const std::vector<ComponentId>& targets, bool mean, double scale) {
  Json components = Json::array();
  for (const ComponentId& target : targets) components.push_back(NameOf(target));
  return {
      {"components", std::move(components)}, {"mode", mean ? "mean" : "scale"}, {"scale", scale}};
}

Json RankingJson(const std::vector<ScoredItem>& found, const PathOfItem& path_of) {
  Json list = Json::array();
  for (std::size_t i = 0; i < found.size(); ++i) {
    list.push_back({{"rank", i + 1},
                    {"item", found[i].item},
                    {"path", path_of(found[i].item)},
                    {"score", found[i].score}});
  }
  return list;
}

Json EditedScoresJson(const ScoresReport& report) {
  Json list = Json::array();
  for (const ScoresReport::Score& one : report.scores) {
    list.push_back({{"text", one.text}, {"base", one.score}, {"edited", one.edited.value()}});
  }
  return list;
}

}  // namespace cliplens
