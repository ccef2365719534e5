// Views of a store: the grid of heads, one head, its pictures, what is alike.
#include <algorithm>

#include "cliplens/analysis/extremes.h"
#include "cliplens/analysis/head_match.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/json.h"
#include "cliplens/report/match_report.h"
#include "cliplens/report/search_report.h"
#include "cliplens/server/views.h"

namespace cliplens::server {
namespace {

HeadId OneHead(const Source& source, const std::string& name) {
  const std::vector<HeadId> heads = ParseHeads(name, source.layers(), source.heads());
  if (heads.size() == 1) return heads.front();
  throw Error(ErrorCode::kInvalidArgument, "{}: one head is wanted, such as L{}.H0",
              Printable(name), source.layers() - 1);
}

Json ScoredJson(Source& source, const std::vector<ScoredItem>& items) {
  Json list = Json::array();
  for (const ScoredItem& scored : items) {
    list.push_back(
        {{"item", scored.item}, {"path", source.item(scored.item).path}, {"score", scored.score}});
  }
  return list;
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Json ItemJson(const Item& item, Index number) {
  Json json = {{"item", number}, {"path", item.path}, {"label", nullptr}};
  if (item.label) json["label"] = *item.label;
  json["attributes"] = item.attributes;
  return json;
}

}  // namespace

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

Json DescriptionOf(Source& source) {
  const SourceOptions& options = source.options();
  const std::string labelling = source.labelling();
  const std::string preparing = source.preparing();
  const auto labels = source.labels();
  const auto none_if_empty = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
  };
  Json json = {{"id", source.id()},
               {"kind", source.is_store() ? "store" : "model"},
               {"name", options.name},
               {"model", {{"name", source.model_name()}, {"fingerprint", source.fingerprint()}}}};
  if (source.is_store()) {
    const StoreInfo& info = source.store().info();
    json["data"] = DataJson(info);
    json["images"] = info.images;
    json["precision"] = info.precision;
    json["certificate"] = {{"max", info.certificate.max}, {"mean", info.certificate.mean}};
  }
  json["layers"] = source.layers();
  json["heads"] = source.heads();
  json["grid"] = source.image_size() / source.patch_size();
  json["image_size"] = source.image_size();
  json["patch_size"] = source.patch_size();
  json["embed_width"] = source.embed_width();
  json["stats_only"] = source.is_store() && source.store().info().stats_only;
  json["pictures"] = options.pictures != nullptr;
  json["labels"] = !labelling.empty() ? "running" : labels != nullptr ? "done" : "none";
  json["label_job"] = none_if_empty(labelling);
  json["preparing"] = none_if_empty(preparing);
  json["properties"] = labels != nullptr ? Json(labels->file.properties) : Json::array();
  json["pool"] = options.pool ? Json(options.pool->name) : Json(nullptr);
  json["properties_name"] = options.properties ? Json(options.properties->name) : Json(nullptr);
  json["classes"] = options.classes ? Json(options.classes->names) : Json::array();
  json["classes_name"] = options.classes ? Json(options.classes->name) : Json(nullptr);
  json["label"] = none_if_empty(options.label);
  json["attributes"] = source.attributes();
  return json;
}

Json OverviewOf(Source& source) {
  const Store& store = source.store();
  const std::vector<ComponentShare>& shares = source.shares();
  Json json = {{"format", "cliplens.overview/1"},      {"model", ModelJson(store.info())},
               {"data", DataJson(store.info())},       {"images", store.info().images},
               {"components", ComponentsJson(shares)}, {"labels", nullptr}};
  for (std::size_t i = 0; i < shares.size(); ++i) {
    json["components"][i]["layer"] = shares[i].layer;
    json["components"][i]["head"] = shares[i].head;
  }
  if (const auto labels = source.labels()) {
    json["labels"] = labels->summary;
    json["labels"]["heads"] = Json::array();
    for (const auto& [id, head] : labels->summaries) json["labels"]["heads"].push_back(head);
  }
  return json;
}

Json HeadOf(Source& source, const std::string& head, const Request& request) {
  const Store& store = source.store();
  const HeadId id = OneHead(source, head);
  const Index count = CountOf(request, "count", 20, 1, kMostResults);
  const Index pictured = CountOf(request, "pictured", 5, 0, kMostTexts);
  const Index pictures = CountOf(request, "pictures", 8, 0, 100);
  const Array<float, 2>& texts = source.texts();
  const TextPool& pool = *source.options().pool;
  const TextSpanResult span =
      TextSpan(store.statistics().HeadMoments(id), store.basis().at(id), texts, {.count = count});
  Json json = SpanJson(store.info(), pool, {id}, {span}, source.shares());
  json["format"] = "cliplens.head/2";
  const Json entry = json["heads"][0];
  json.erase("heads");
  for (const auto& [key, value] : entry.items()) json[key] = value;
  const auto shown = std::min<std::size_t>(ToSize(pictured), span.texts.size());
  if (!store.info().stats_only && pictures > 0 && shown > 0) {
    std::vector<Vector> weights;
    for (std::size_t t = 0; t < shown; ++t) weights.push_back(span.texts[t].weight);
    const std::vector<Extremes> extremes = ExtremesOf(store.ReadFactors(id), weights, pictures);
    for (std::size_t t = 0; t < shown; ++t) {
      json["texts"][t]["highest"] = ScoredJson(source, extremes[t].highest);
      json["texts"][t]["lowest"] = ScoredJson(source, extremes[t].lowest);
    }
  }
  json["label"] = nullptr;
  if (const auto labels = source.labels()) {
    const auto found = labels->heads.find(id);
    if (found != labels->heads.end()) json["label"] = found->second;
  }
  return json;
}

Json ItemListOf(Source& source, const Request& request) {
  const Store& store = source.store();
  const Index from = CountOf(request, "from", 0, 0, Index{1} << 40);
  const Index count = CountOf(request, "count", 200, 1, kMostResults);
  const std::string_view find = request.parameter("find");
  Json json = {
      {"format", "cliplens.items/1"}, {"total", 0}, {"from", from}, {"items", Json::array()}};
  Index number = 0, matching = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const Index images = store.shard(s).images;
    // Without a search whole shards are passed over.
    if (find.empty() && (number + images <= from || number >= from + count)) {
      number += images;
      matching += images;
      continue;
    }
    for (const Item& item : *source.ItemsOfShard(s)) {
      const bool wanted =
          find.empty() || Contains(item.path, find) || (item.label && Contains(*item.label, find));
      if (wanted) {
        if (matching >= from && matching < from + count) {
          json["items"].push_back(ItemJson(item, number));
        }
        ++matching;
      }
      ++number;
    }
  }
  json["total"] = matching;
  return json;
}

Json SearchOf(Source& source, const Arguments& request) {
  const Store& store = source.store();
  SearchReport report;
  report.store = store.info();
  const auto definition = DefinitionNamed(request.Text("definition", "score-of-sum"));
  const auto measure = MeasureNamed(request.Text("measure", "cosine"));
  if (!definition || !measure) {
    throw Error(ErrorCode::kInvalidArgument,
                "definition is score-of-sum or sum-of-scores, measure cosine, dot or raw");
  }
  SearchOptions options;
  options.count = request.Count("count", 24, 1, kMostResults);
  options.threads = source.threads();
  std::vector<std::shared_ptr<const SearchVectors>> vectors;
  std::vector<SearchTerm> terms;
  for (const Arguments& term : request.Objects("terms", kMostTerms)) {
    std::string in;
    SearchSpace space = source.SpaceOf(term, "in", &in);
    space.definition = *definition;
    space.measure = *measure;
    const Arguments query = term.Object("query");
    vectors.push_back(source.Vectors(space));
    SearchTerm made{.vectors = vectors.back().get(), .weight = term.Flag("unlike") ? -1.0 : 1.0};
    std::string name;
    if (query.Has("text")) {
      const std::string text = query.Text("text");
      name = "\"" + text + "\"";
      made.query = made.vectors->OfText(source.RowOfText(text));
    } else if (query.Has("picture")) {
      const ShownPicture picture = source.Picture(query);
      const auto pass = source.Pass(picture);
      name = picture.path;
      made.query = made.vectors->OfPicture(pass->captures, pass->embedding.row(0));
    } else {
      const Index item = query.Count("item", -1, 0, Index{1} << 40);
      if (item < 0) {
        throw Error(ErrorCode::kInvalidArgument,
                    "query: name an item, a picture or a text to search for");
      }
      name = fmt::format("item {}", item);
      made.query = made.vectors->OfItem(item);
      options.exclude.push_back(item);
    }
    report.terms.push_back({.query = name,
                            .in = space.heads.empty() ? "embedding" : in,
                            .unlike = term.Flag("unlike"),
                            .space = space});
    terms.push_back(std::move(made));
  }
  report.results = Search(store, terms, options);
  report.items = ItemsOf(store, report.results);
  return SearchJson(report);
}

Json MatchOf(Source& source, Source& other) {
  const auto side = [](Source& of) {
    MatchedStore matched = MatchedStoreOf(of.store());
    if (const auto labels = of.labels()) {
      for (const LabelledHead& head : labels->file.heads) {
        if (!head.label.empty()) matched.labels[head.id] = head.label;
      }
    }
    return matched;
  };
  MatchOptions options;
  options.threads = source.threads();
  return MatchJson({side(source), side(other), MatchHeads(source.store(), other.store(), options)});
}

}  // namespace cliplens::server
