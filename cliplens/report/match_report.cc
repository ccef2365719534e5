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

// Heads that vary along fewer directions than this are alike through one trait of the
// pictures. Those of models with random weights are (docs/match.md).
constexpr double kFewDirections = 3;

Index AboveChance(const HeadMatch& match) {
  return std::ranges::count_if(match.matches, [&](const HeadPair& pair) {
    return pair.similarity && pair.similarity->value > match.chance;
  });
}

std::string Similarity(const HeadPair& pair) {
  return pair.similarity ? FormatEstimate(*pair.similarity, 1, 3) : "unknown";
}

// How many of the matches there are, in words.
std::string OfMatches(Index count, const HeadMatch& match) {
  return fmt::format("{} of {} matches", count, match.matches.size());
}

std::string ChanceText(const HeadMatch& match) {
  const Index above = AboveChance(match);
  std::string text = fmt::format(
      "heads that have nothing in common reach {:.3f} on these {} pictures: {} {} above",
      match.chance, match.images, OfMatches(above, match), above == 1 ? "is" : "are");
  if (above < std::ssize(match.matches)) {
    text += match.images < match.common
                ? "; compare on more (--most-images) before you trust the others"
                : "; compare on more pictures before you trust the others";
  }
  return text + "\n";
}

// Empty if there are none.
std::string FewDirectionsText(const MatchReport& report) {
  const HeadMatch& match = report.match;
  const auto few = [](const std::vector<HeadId>& heads, const std::vector<double>& directions,
                      HeadId id) {
    const auto at = std::ranges::find(heads, id) - heads.begin();
    return directions[ToSize(at)] < kFewDirections;
  };
  const Index simple = std::ranges::count_if(match.matches, [&](const HeadPair& pair) {
    return pair.similarity && few(match.heads_a, match.directions_a, pair.a) &&
           few(match.heads_b, match.directions_b, pair.b);
  });
  if (simple == 0) return "";
  return fmt::format(
      "{} {} of heads along fewer than {:g} directions, which one trait of the pictures, such as "
      "their mean colour, makes alike\n",
      OfMatches(simple, match), simple == 1 ? "is" : "are", kFewDirections);
}

}  // namespace

Json MatchJson(const MatchReport& report) {
  const auto side = [](const MatchedStore& store) {
    return Json{{"model", ModelJson(store.info)}, {"data", DataJson(store.info)}};
  };
  const HeadMatch& match = report.match;
  Json json = {{"format", "cliplens.match/2"},
               {"a", side(report.a)},
               {"b", side(report.b)},
               {"images", match.images},
               {"common", match.common},
               {"chance", match.chance},
               {"above_chance", AboveChance(match)},
               {"heads_a", HeadNamesJson(match.heads_a)},
               {"heads_b", HeadNamesJson(match.heads_b)},
               {"directions_a", match.directions_a},
               {"directions_b", match.directions_b}};
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
                  {"similarity", pair.similarity ? EstimateJson(*pair.similarity) : Json()},
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
                                      Similarity(pair)};
    if (labelled) cells.insert(cells.end(), {LabelOf(report.a, pair.a), LabelOf(report.b, pair.b)});
    table.AddRow(std::move(cells));
  }
  return fmt::format(
             "{} of {} heads, {} of {} common pictures: {} and {}, debiased linear CKA, one to "
             "one; "
             "bounds hold 95 %\n{}",
             shown, match.matches.size(), match.images, match.common, report.a.info.model_name,
             report.b.info.model_name, table.Render()) +
         ChanceText(match) + FewDirectionsText(report);
}

}  // namespace cliplens
