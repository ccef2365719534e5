#include "cliplens/report/explorer_report.h"

#include <algorithm>

#include "cliplens/base/version.h"
#include "cliplens/report/edit_report.h"
#include "cliplens/report/group_report.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/neuron_report.h"
#include "cliplens/report/search_report.h"

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

Json NullIfEmpty(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json NeuronStoreJson(const StoreInfo& info, bool pictures) {
  return {{"layers", {info.neurons->layers.begin, info.neurons->layers.end - 1}},
          {"images", info.images},
          {"data", DataJson(info)},
          {"top", std::min(info.neurons->top, info.images)},
          {"pictures", pictures}};
}

Json SourceJson(const SourceReport& source) {
  Json json = {{"id", source.id},
               {"kind", source.store ? "store" : "model"},
               {"name", source.name},
               {"model", ModelJson(source.model_name, source.fingerprint)}};
  if (source.store) {
    const StoreInfo& info = *source.store;
    json["data"] = DataJson(info);
    json["images"] = info.images;
    json["precision"] = info.precision;
    json["certificate"] = CertificateJson(info.certificate);
  }
  json["layers"] = source.layers;
  json["heads"] = source.heads;
  json["grid"] = source.image_size / source.patch_size;
  json["image_size"] = source.image_size;
  json["patch_size"] = source.patch_size;
  json["embed_width"] = source.embed_width;
  json["stats_only"] = source.store && source.store->stats_only;
  json["pictures"] = source.pictures;
  json["neurons"] =
      source.neurons ? NeuronStoreJson(*source.neurons, source.neuron_pictures) : Json(nullptr);
  json["labels"] = !source.label_job.empty() ? "running" : source.labelled ? "done" : "none";
  json["label_job"] = NullIfEmpty(source.label_job);
  json["preparing"] = NullIfEmpty(source.preparing);
  json["properties"] = source.properties;
  json["pool"] = NullIfEmpty(source.pool);
  json["properties_name"] = NullIfEmpty(source.properties_name);
  json["classes"] = source.classes;
  json["classes_name"] = NullIfEmpty(source.classes_name);
  json["label"] = NullIfEmpty(source.label);
  json["attributes"] = source.attributes;
  return json;
}

Json WantedEditJson(const WantedEdit& edit) {
  Json components = Json::array();
  for (const ComponentId& target : edit.targets) components.push_back(NameOf(target));
  return {{"components", std::move(components)},
          {"mode", edit.mean ? "mean" : "scale"},
          {"scale", edit.scale}};
}

Json EditedScoresJson(const ScoresReport& report) {
  Json list = Json::array();
  for (const ScoresReport::Score& one : report.scores) {
    list.push_back({{"text", one.text}, {"base", one.score}, {"edited", one.edited.value()}});
  }
  return list;
}

}  // namespace

Json SourcesJson(const std::vector<SourceReport>& sources, const RequestLimits& limits) {
  Json json = {{"format", "cliplens.sources/1"},
               {"version", kVersion},
               {"sources", Json::array()},
               {"limits",
                {{"picture_bytes", limits.picture_bytes},
                 {"picture_pixels", limits.picture_pixels},
                 {"text_bytes", limits.text_bytes},
                 {"texts", limits.texts},
                 {"terms", limits.terms},
                 {"results", limits.results}}}};
  for (const SourceReport& source : sources) json["sources"].push_back(SourceJson(source));
  return json;
}

Json ServeJson(const std::string& address, int port) {
  return {{"format", "cliplens.serve/1"}, {"address", address}, {"port", port}};
}

Json SentPictureJson(const std::string& id, Index width, Index height) {
  return {{"format", "cliplens.picture/1"}, {"picture", id}, {"width", width}, {"height", height}};
}

Json NeuronListJson(const NeuronList& list) {
  Json json = {{"format", "cliplens.neurons.list/1"},
               {"model", ModelJson(list.store)},
               {"data", DataJson(list.store)},
               {"images", list.store.images},
               {"pool", PoolJson(list.pool)},
               {"head", list.head ? Json(HeadName(*list.head)) : Json(nullptr)},
               {"layers", Json::array()},
               {"total", list.total},
               {"from", list.from},
               {"neurons", Json::array()}};
  for (const NeuronLayer& layer : list.layers) {
    json["layers"].push_back(
        {{"layer", layer.layer}, {"neurons", layer.neurons}, {"share", layer.share}});
  }
  for (const ListedNeuron& listed : list.neurons) {
    const NeuronWords& neuron = listed.neuron;
    Json one = {
        {"neuron", NeuronName(neuron.id)},
        {"share", listed.share},
        {"top_explained", neuron.top_explained},
        {"all_explained", neuron.all_explained},
        {"cosine", neuron.cosine},
        {"strongest", {{"head", HeadName(listed.strongest.id)}, {"share", listed.strongest.share}}},
        {"texts", NeuronWordListJson(neuron.words, list.pool)}};
    if (list.head) one["through"] = listed.through;
    json["neurons"].push_back(std::move(one));
  }
  return json;
}

Json FiringsJson(const MappedPicture& picture, const std::vector<NeuronFiring>& firings) {
  Json json = MappedPictureJson("cliplens.neurons.fires/1", picture);
  json["neurons"] = Json::array();
  for (const NeuronFiring& firing : firings) {
    Json one = {{"neuron", NeuronName(firing.id)}, {"fires", GridJson(firing.patches)}};
    if (firing.class_token) one["class_token"] = *firing.class_token;
    json["neurons"].push_back(std::move(one));
  }
  return json;
}

const char* NameOf(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return "running";
    case JobState::kDone:
      return "done";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "";
}

Json JobJson(const JobStatus& status) {
  Json json = {{"format", "cliplens.job/1"},
               {"job", status.id},
               {"what", status.what},
               {"state", NameOf(status.state)},
               {"done", status.done},
               {"total", status.total},
               {"error", nullptr}};
  if (status.state == JobState::kFailed) {
    json["error"] = {{"code", status.error_code}, {"message", status.error_message}};
  }
  return json;
}

Json OverviewJson(const StoreInfo& store, const std::vector<ComponentShare>& shares,
                  const Json& labels) {
  Json json = {{"format", "cliplens.overview/1"},
               {"model", ModelJson(store)},
               {"data", DataJson(store)},
               {"images", store.images},
               {"components", ComponentsJson(shares)},
               {"labels", labels}};
  for (std::size_t i = 0; i < shares.size(); ++i) {
    json["components"][i]["layer"] = shares[i].layer;
    json["components"][i]["head"] = shares[i].head;
  }
  return json;
}

Json HeadJson(const StoreInfo& store, const TextPool& pool, const ReportHead& head,
              const std::vector<ComponentShare>& shares, const PathOfItem& path_of,
              const Json& label) {
  Json json = SpanJson(store, pool, {head.id}, {head.span}, shares);
  json["format"] = "cliplens.head/2";
  const Json entry = json["heads"][0];
  json.erase("heads");
  for (const auto& [key, value] : entry.items()) json[key] = value;
  for (std::size_t t = 0; t < head.extremes.size(); ++t) {
    json["texts"][t]["highest"] = ScoredItemsJson(head.extremes[t].highest, path_of);
    json["texts"][t]["lowest"] = ScoredItemsJson(head.extremes[t].lowest, path_of);
  }
  json["label"] = label;
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
               {"model", ModelJson(report.model_name, report.fingerprint)},
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

Json EditedJson(const EditedReport& report) {
  Json json = {{"format", "cliplens.explorer.edit/2"},
               {"model", ModelJson(report.store)},
               {"data", DataJson(report.store)},
               {"images", report.store.images},
               {"edit", WantedEditJson(report.edit)},
               {"accuracy", nullptr},
               {"groups", nullptr},
               {"ranking", nullptr},
               {"scores", nullptr}};
  if (!report.accuracy_problem.empty()) json["accuracy_problem"] = report.accuracy_problem;
  if (report.accuracy) {
    json["accuracy"] = {{"images", report.accuracy->images},
                        {"base", EstimateJson(report.accuracy->base)},
                        {"edited", EstimateJson(report.accuracy->edited)}};
  }
  if (report.groups) {
    const EditedReport::Groups& groups = *report.groups;
    json["groups"] = {{"attribute", groups.attribute},
                      {"values", groups.values},
                      {"rows",
                       {GroupRowJson(groups.base, groups.classes, groups.values),
                        GroupRowJson(groups.edited, groups.classes, groups.values)}}};
  }
  if (report.ranking) {
    const auto& [base, edited] = *report.ranking;
    json["ranking"] = {{"base", RankingJson(base.found, base.items)},
                       {"edited", RankingJson(edited.found, edited.items)}};
  }
  if (report.scores) json["scores"] = EditedScoresJson(*report.scores);
  json["milliseconds"] = report.milliseconds;
  return json;
}

Json OpenedEditJson(const Edit& edit, const WantedEdit& shown, bool other_means) {
  Json json = EditJson(edit, "");
  json["edit"] = WantedEditJson(shown);
  json["other_means"] = other_means;
  return json;
}

}  // namespace cliplens
