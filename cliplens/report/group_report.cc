#include "cliplens/report/group_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/csv.h"
#include "cliplens/report/edit_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

constexpr std::string_view kRandom = "random-";
// A table of more groups than this names the worst and the average only.
constexpr std::size_t kMostColumns = 8;

std::string GroupName(const GroupReport& report, Index c, Index a) {
  return At(report.classes, c) + " / " + At(report.values, a);
}

std::string Means(const std::string& name) { return name.empty() ? "these pictures" : name; }

}  // namespace

std::string GroupLeanText(const GroupReport& report) {
  if (!report.lean) return "";
  if (report.lean->unknown.empty()) return LeanText(report.lean->report);
  return fmt::format("how far the class logits follow it is not known: {}", report.lean->unknown);
}

std::string GroupRowText(const GroupReport& report, const std::string& name) {
  if (name == "base") return "as it is";
  if (name == "edit") return "edit";
  if (name == "edit-means") return "edit, means of " + Means(report.setting.means);
  if (name == "recipe") return "its heads, early heads, MLPs, INPUT";
  if (name == "recipe-rest") return "early heads, MLPs, INPUT alone";
  if (name.starts_with(kRandom)) {
    return "random heads, draw " + name.substr(kRandom.size());
  }
  return name;
}

std::optional<RandomSummary> SummaryOfRandom(const GroupResult& result,
                                             Estimate GroupRow::*figure) {
  std::vector<double> values;
  for (const GroupRow& row : result.rows) {
    if (row.name.starts_with(kRandom)) values.push_back((row.*figure).value);
  }
  if (values.empty()) return std::nullopt;
  RandomSummary summary;
  summary.best = *std::ranges::max_element(values);
  for (const double v : values) summary.mean += v / static_cast<double>(values.size());
  for (const double v : values) {
    summary.deviation += (v - summary.mean) * (v - summary.mean);
  }
  summary.deviation = values.size() > 1
                          ? std::sqrt(summary.deviation / static_cast<double>(values.size() - 1))
                          : 0.0;
  return summary;
}

std::vector<std::string> GroupWarnings(const GroupReport& report) {
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& name, double distance) {
    if (distance <= kFarMeans) return;
    warnings.push_back(fmt::format(
        "the means of {} lie far from those of these pictures (distance {:.2f}): what is replaced "
        "also shifts the scores of classes",
        Printable(Means(name)), distance));
  };
  if (!report.edit_names.empty()) warn(report.edit_means, report.means_distance);
  if (!report.setting.means.empty() &&
      (report.edit_names.empty() || report.setting.means != report.edit_means)) {
    warn(report.setting.means, report.other_distance);
  }
  return warnings;
}

Json GroupRowJson(const GroupRow& row, const std::vector<std::string>& classes,
                  const std::vector<std::string>& values) {
  Json entry = {{"name", row.name}, {"groups", Json::array()}};
  for (const GroupFigures& g : row.groups) {
    entry["groups"].push_back({{"class", At(classes, g.class_index)},
                               {"attribute", At(values, g.attribute)},
                               {"count", g.count},
                               {"accuracy", EstimateJson(g.accuracy)}});
  }
  entry["worst"] = EstimateJson(row.worst);
  entry["average"] = EstimateJson(row.average);
  entry["group_mean"] = EstimateJson(row.group_mean);
  if (row.weighted) entry["weighted"] = EstimateJson(*row.weighted);
  return entry;
}

Json GroupJson(const GroupReport& report) {
  const GroupResult& result = report.result;
  Json json = {
      {"format", "cliplens.groups/2"},
      {"model", ModelJson(report.setting.store)},
      {"data", DataJson(report.setting.store)},
      {"images", result.images},
      {"labels_not_among_classes", report.setting.foreign},
      {"without_attribute", report.without},
      {"classes", {{"name", report.setting.classes_name}, {"classes", report.setting.classes}}},
      {"templates", report.setting.templates},
      {"attribute", report.attribute},
      {"values", report.values}};
  if (!report.setting.means.empty()) {
    json["means"] = {{"store", report.setting.means}, {"distance", report.other_distance}};
  }
  if (!report.edit_names.empty()) {
    json["edit"] = {{"components", report.edit_names},
                    {"means", report.edit_means},
                    {"distance", report.means_distance}};
    if (!report.edit.empty()) json["edit"]["file"] = report.edit;
  }
  if (const auto worst = SummaryOfRandom(result, &GroupRow::worst)) {
    const auto average = SummaryOfRandom(result, &GroupRow::average);
    const auto figures = [](const RandomSummary& s) {
      return Json{{"best", s.best}, {"mean", s.mean}, {"deviation", s.deviation}};
    };
    json["random"] = {{"draws", report.draws},
                      {"seed", report.seed},
                      {"worst", figures(*worst)},
                      {"average", figures(*average)}};
  }
  if (report.weights) {
    Json groups = Json::array();
    for (std::size_t cell = 0; cell < report.weights->counts.size(); ++cell) {
      groups.push_back({{"class", report.classes[cell / report.values.size()]},
                        {"attribute", report.values[cell % report.values.size()]},
                        {"count", static_cast<Index>(report.weights->counts[cell])}});
    }
    json["weights"] = {{"from", report.weights->from},
                       {"images", report.weights->images},
                       {"groups", std::move(groups)}};
  }
  json["empty_groups"] = Json::array();
  for (const auto& [c, a] : result.empty_groups) {
    json["empty_groups"].push_back(
        {{"class", At(report.classes, c)}, {"attribute", At(report.values, a)}});
  }
  json["rows"] = Json::array();
  for (const GroupRow& row : result.rows) {
    json["rows"].push_back(GroupRowJson(row, report.classes, report.values));
  }
  json["warnings"] = GroupWarnings(report);
  return json;
}

std::string GroupCsv(const GroupReport& report) {
  std::string csv =
      CsvRow({"row", "class", "attribute", "count", "accuracy", "accuracy_low", "accuracy_high"});
  for (const GroupRow& row : report.result.rows) {
    const auto line = [&](const std::string& c, const std::string& a, Index count,
                          const Estimate& e) {
      csv += CsvRow({row.name, c, a, std::to_string(count), CsvNumber(e.value), CsvNumber(e.low),
                     CsvNumber(e.high)});
    };
    for (const GroupFigures& g : row.groups) {
      line(At(report.classes, g.class_index), At(report.values, g.attribute), g.count, g.accuracy);
    }
    line("worst", "", report.result.images, row.worst);
    line("average", "", report.result.images, row.average);
    line("group_mean", "", report.result.images, row.group_mean);
    if (row.weighted) line("weighted", "", report.result.images, *row.weighted);
  }
  return csv;
}

std::string GroupTable(const GroupReport& report) {
  const GroupResult& result = report.result;
  std::string out = fmt::format(
      "{} pictures in {} groups: {} classes of {} by the attribute {}; bounds hold 95 %\n",
      result.images, result.rows.empty() ? 0 : result.rows.front().groups.size(),
      report.setting.classes, report.setting.classes_name, report.attribute);
  if (!report.edit_names.empty()) {
    out += fmt::format("edit: {}; means of {}\n", report.edit_names, Means(report.edit_means));
  }
  const bool blocks = report.setting.store.level == Level::kBlocks;
  out += fmt::format("random heads{}: means of {}\n",
                     blocks ? " and early heads, MLPs and INPUT" : "", Means(report.setting.means));
  if (report.setting.foreign > 0) {
    out += fmt::format("{} pictures have a label that is no class of {} and are not counted\n",
                       report.setting.foreign, report.setting.classes_name);
  }
  if (report.without > 0) {
    out +=
        fmt::format("{} pictures do not have the attribute and are not counted\n", report.without);
  }
  if (report.weights) {
    out +=
        fmt::format("weighted: over groups with the shares that they have of {} pictures of {}\n",
                    report.weights->images, report.weights->from);
  }
  for (const auto& [c, a] : result.empty_groups) {
    out += fmt::format("no picture in {}\n", GroupName(report, c, a));
  }
  for (const std::string& warning : GroupWarnings(report)) out += "warning: " + warning + "\n";
  const bool by_group = !result.rows.empty() && result.rows.front().groups.size() <= kMostColumns;
  std::vector<TableColumn> columns = {
      {"accuracy, %"}, {"worst group", Align::kRight}, {"average", Align::kRight}};
  if (report.weights) columns.push_back({"weighted", Align::kRight});
  const std::size_t first_group = columns.size();
  if (by_group) {
    for (const GroupFigures& g : result.rows.front().groups) {
      columns.push_back(
          {fmt::format("{} ({})", GroupName(report, g.class_index, g.attribute), g.count),
           Align::kRight});
    }
  }
  Table table(columns);
  const auto add = [&](const std::string& name, const std::string& worst,
                       const std::string& average, const GroupRow* row) {
    std::vector<std::string> cells = {name, worst, average};
    if (report.weights) {
      cells.push_back(row != nullptr ? FormatEstimate(*row->weighted, 100, 1) : "");
    }
    for (std::size_t g = 0; g + first_group < columns.size(); ++g) {
      cells.push_back(row != nullptr ? fmt::format("{:.1f}", 100 * row->groups[g].accuracy.value)
                                     : "");
    }
    table.AddRow(std::move(cells));
  };
  bool summed = false;
  for (const GroupRow& row : result.rows) {
    if (!row.name.starts_with(kRandom)) {
      add(GroupRowText(report, row.name), FormatEstimate(row.worst, 100, 1),
          FormatEstimate(row.average, 100, 1), &row);
      continue;
    }
    if (summed) continue;
    summed = true;
    const auto worst = SummaryOfRandom(result, &GroupRow::worst);
    const auto average = SummaryOfRandom(result, &GroupRow::average);
    add(fmt::format("as many random heads, best of {}", report.draws),
        fmt::format("{:.1f}", 100 * worst->best), fmt::format("{:.1f}", 100 * average->best),
        nullptr);
    add(fmt::format("... mean ± sd, seed {}", report.seed),
        fmt::format("{:.1f} ± {:.1f}", 100 * worst->mean, 100 * worst->deviation),
        fmt::format("{:.1f} ± {:.1f}", 100 * average->mean, 100 * average->deviation), nullptr);
  }
  return out + "\n" + table.Render();
}

}  // namespace cliplens
