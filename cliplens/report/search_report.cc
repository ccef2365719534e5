#include "cliplens/report/search_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/report/few_pictures.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {

Json RankingJson(const std::vector<ScoredItem>& found, const std::vector<Item>& items) {
  Json list = Json::array();
  for (std::size_t i = 0; i < found.size(); ++i) {
    list.push_back({{"rank", i + 1},
                    {"item", found[i].item},
                    {"path", items[i].path},
                    {"score", found[i].score}});
  }
  return list;
}

Json SearchJson(const SearchReport& report) {
  Json json = {{"format", "cliplens.search/1"},
               {"model", ModelJson(report.store)},
               {"data", DataJson(report.store)},
               {"images", report.store.images}};
  if (!report.index.empty()) json["index"] = report.index;
  json["terms"] = Json::array();
  for (const SearchReport::Term& term : report.terms) {
    json["terms"].push_back({{"query", term.query},
                             {"unlike", term.unlike},
                             {"in", term.in},
                             {"heads", HeadNamesJson(term.space.heads)},
                             {"weights", term.space.weights},
                             {"directions", term.space.directions.dim(0)},
                             {"definition", NameOf(term.space.definition)},
                             {"measure", NameOf(term.space.measure)}});
  }
  json["results"] = RankingJson(report.results, report.items);
  for (std::size_t i = 0; i < report.items.size(); ++i) {
    if (report.items[i].label) json["results"][i]["label"] = *report.items[i].label;
  }
  return json;
}

std::string SearchTable(const SearchReport& report) {
  std::string out;
  for (const SearchReport::Term& term : report.terms) {
    out += fmt::format("{} {} in {}", term.unlike ? "unlike" : "like", term.query, term.in);
    if (term.space.heads.size() > 1) {
      out += fmt::format(", {} heads{}, {}", term.space.heads.size(),
                         term.space.weights.empty() ? "" : " by their shares",
                         NameOf(term.space.definition));
    }
    if (const Index directions = term.space.directions.dim(0); directions > 0) {
      out += fmt::format(", along {} directions", directions);
    }
    out += fmt::format(", {}\n", NameOf(term.space.measure));
  }
  Table table({{"rank", Align::kRight},
               {"score", Align::kRight},
               {"item", Align::kRight},
               {"label"},
               {"picture"}});
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    table.AddRow({fmt::format("{}", i + 1), fmt::format("{:.4f}", report.results[i].score),
                  fmt::format("{}", report.results[i].item), report.items[i].label.value_or(""),
                  report.items[i].path});
  }
  out += table.Render();
  out += fmt::format("of {} pictures{}\n", report.store.images,
                     report.index.empty() ? "" : " in " + report.index);
  const bool about_mean = std::ranges::any_of(report.terms, [](const SearchReport::Term& term) {
    return term.space.measure != Measure::kRaw;
  });
  if (about_mean) {
    out += FewPicturesLine(report.store.images, kEnoughForSearch,
                           "scores are about a mean of so few, of which each is a part");
  }
  return out;
}

}  // namespace cliplens
