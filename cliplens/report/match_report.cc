#include "cliplens/report/match_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

std::string LabelOf(const MatchedStore& store, HeadId head) {
  const auto found = store.labels.find(head);
  return found == store.labels.end() ? "" : found->second;
}

}  // namespace

Json MatchJson(const MatchReport& report) {
  const auto side = [](const MatchedStore& store) {
    return Json{{"model", ModelJson(store.info)}, {"data", DataJson(store.info)}};
  };
  const HeadMatch& match = report.match;
  Json json = {{"format", "cliplens.match/1"},
               {"a", side(report.a)},
               {"b", side(report.b)},
               {"images", match.images},
               {"common", match.common},
               {"heads_a", HeadNamesJson(match.heads_a)},
               {"heads_b", HeadNamesJson(match.heads_b)}};
  json["similarity"] = Json::array();
  for (Index i = 0; i < match.similarity.rows(); ++i) {
    Json row = Json::array();
    for (Index j = 0; j < match.similarity.cols(); ++j) row.push_back(match.similarity(i, j));
    json["similarity"].push_back(std::move(row));
  }
  json["matches"] = Json::array();
  for (const HeadPair& pair : match.matches) {
    Json entry = {{"a", HeadName(pair.a)},
                  {"b", HeadName(pair.b)},
                  {"similarity", pair.similarity},
                  {"share_a", report.a.shares.at(pair.a)},
                  {"share_b", report.b.shares.at(pair.b)}};
    const std::string label_a = LabelOf(report.a, pair.a);
    const std::string label_b = LabelOf(report.b, pair.b);
    if (!label_a.empty()) entry["label_a"] = label_a;
    if (!label_b.empty()) entry["label_b"] = label_b;
    json["matches"].push_back(std::move(entry));
  }
  return json;
}

std::string MatchTable(const MatchReport& report, Index count) {
  const HeadMatch& match = report.match;
  std::vector<TableColumn> columns = {{"head"},
                                      {"share", Align::kRight},
                                      {"matches"},
                                      {"share", Align::kRight},
                                      {"similarity", Align::kRight}};
  const bool labelled = !report.a.labels.empty() || !report.b.labels.empty();
  if (labelled) columns.insert(columns.end(), {{"label"}, {"of the match"}});
  Table table(columns);
  const auto shown = std::min(ToSize(count), match.matches.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const HeadPair& pair = match.matches[i];
    std::vector<std::string> cells = {HeadName(pair.a), FormatPercent(report.a.shares.at(pair.a)),
                                      HeadName(pair.b), FormatPercent(report.b.shares.at(pair.b)),
                                      fmt::format("{:.3f}", pair.similarity)};
    if (labelled) cells.insert(cells.end(), {LabelOf(report.a, pair.a), LabelOf(report.b, pair.b)});
    table.AddRow(std::move(cells));
  }
  return fmt::format(
      "{} of {} heads, {} of {} common pictures: {} and {}, linear CKA, one to one\n{}", shown,
      match.matches.size(), match.images, match.common, report.a.info.model_name,
      report.b.info.model_name, table.Render());
}

}  // namespace cliplens
