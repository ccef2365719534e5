#include "cliplens/report/ablation_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/report/csv.h"
#include "cliplens/report/few_pictures.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

std::vector<std::string> Cells(const Estimate& e) {
  return {CsvNumber(e.value), CsvNumber(e.low), CsvNumber(e.high)};
}

std::string Line(std::vector<std::string> cells, const Estimate& a, const Estimate& b) {
  for (const Estimate* e : {&a, &b}) std::ranges::copy(Cells(*e), std::back_inserter(cells));
  return CsvRow(cells);
}

std::string MeansText(const AccuracySetting& setting) {
  return setting.means.empty() ? "means of these pictures" : "means of " + setting.means;
}

}  // namespace

Json RowJson(const AblationRow& row) {
  return {{"name", row.name},
          {"accuracy", EstimateJson(row.accuracy)},
          {"score", EstimateJson(row.score)}};
}

Json SettingJson(const char* format, const AccuracySetting& setting, Index images) {
  Json json = {{"format", format},
               {"model", ModelJson(setting.store)},
               {"data", DataJson(setting.store)},
               {"images", images},
               {"labels_not_among_classes", setting.foreign},
               {"classes", {{"name", setting.classes_name}, {"classes", setting.classes}}},
               {"templates", setting.templates}};
  if (!setting.means.empty()) json["means"] = setting.means;
  return json;
}

std::string SettingText(const AccuracySetting& setting, Index images) {
  return fmt::format("{} pictures with a label among the {} classes of {}; {}; bounds hold 95 %\n",
                     images, setting.classes, setting.classes_name, MeansText(setting));
}

std::vector<const ComponentAblation*> ComponentsByLoss(const AblationResult& result) {
  std::vector<const ComponentAblation*> order;
  order.reserve(result.components.size());
  for (const ComponentAblation& component : result.components) order.push_back(&component);
  std::ranges::stable_sort(order, [](const ComponentAblation* a, const ComponentAblation* b) {
    return a->accuracy_lost.value > b->accuracy_lost.value;
  });
  return order;
}

Json AblationJson(const AccuracySetting& setting, const AblationResult& result) {
  Json json = SettingJson("cliplens.ablate/2", setting, result.images);
  json["rows"] = Json::array();
  for (const AblationRow& row : result.rows) json["rows"].push_back(RowJson(row));
  const auto curve = [&](const char* name, const std::vector<AblationRow>& rows) {
    json[name] = Json::array();
    for (const AblationRow& row : rows) json[name].push_back(EstimateJson(row.accuracy));
  };
  curve("cumulative", result.cumulative);
  curve("last_only", result.last_only);
  json["components"] = Json::array();
  for (const ComponentAblation& component : result.components) {
    json["components"].push_back({{"component", component.component},
                                  {"accuracy_lost", EstimateJson(component.accuracy_lost)},
                                  {"score_lost", EstimateJson(component.score_lost)}});
  }
  return json;
}

std::string AblationCsv(const AblationResult& result) {
  std::string csv = CsvRow({"kind", "name", "accuracy", "accuracy_low", "accuracy_high", "score",
                            "score_low", "score_high"});
  for (const AblationRow& row : result.rows) {
    csv += Line({"row", row.name}, row.accuracy, row.score);
  }
  for (std::size_t k = 0; k < result.cumulative.size(); ++k) {
    const AblationRow& row = result.cumulative[k];
    csv += Line({"cumulative", std::to_string(k)}, row.accuracy, row.score);
  }
  for (std::size_t k = 0; k < result.last_only.size(); ++k) {
    const AblationRow& row = result.last_only[k];
    csv += Line({"last-only", std::to_string(k)}, row.accuracy, row.score);
  }
  for (const ComponentAblation& c : result.components) {
    csv += Line({"component", c.component}, c.accuracy_lost, c.score_lost);
  }
  return csv;
}

std::string AblationTable(const AccuracySetting& setting, const AblationResult& result,
                          Index components) {
  std::string out = SettingText(setting, result.images);
  out += FewPicturesLine(result.images, kEnoughForLosses,
                         "bounds of small losses are too narrow, and of no width where no answer "
                         "changes");
  out += '\n';
  const bool own = setting.store.pools_class_token();
  const auto named = [own](const std::string& name) -> std::string {
    if (name == "mlps") return "MLPs and INPUT replaced";
    if (name == "cls_attn") {
      return own ? "class token's attention to itself replaced"
                 : "attention to the class token replaced";
    }
    if (name == "mlps+cls_attn") return "both replaced";
    if (name == "pool_mlp") return "POOL.MLP replaced";
    if (name == "mlps+pool_mlp") return "MLPs, INPUT and POOL.MLP replaced";
    return "as it is";
  };
  Table rows({{"representation"}, {"accuracy, %", Align::kRight}, {"right score", Align::kRight}});
  for (const AblationRow& row : result.rows) {
    rows.AddRow(
        {named(row.name), FormatEstimate(row.accuracy, 100, 1), FormatEstimate(row.score, 1, 4)});
  }
  out += rows.Render() + "\n";
  Table curve({{"k", Align::kRight},
               {"first k attention layers replaced, %", Align::kRight},
               {"only the last k kept, %", Align::kRight}});
  for (std::size_t k = 0; k < result.cumulative.size(); ++k) {
    curve.AddRow({std::to_string(k), FormatEstimate(result.cumulative[k].accuracy, 100, 1),
                  FormatEstimate(result.last_only[k].accuracy, 100, 1)});
  }
  out += curve.Render();
  if (components <= 0) return out;
  const std::vector<const ComponentAblation*> order = ComponentsByLoss(result);
  Table alone({{"alone replaced"},
               {"accuracy lost, points", Align::kRight},
               {"right score lost", Align::kRight}});
  for (std::size_t i = 0; i < std::min(order.size(), ToSize(components)); ++i) {
    const ComponentAblation& c = *order[i];
    alone.AddRow(
        {c.component, FormatEstimate(c.accuracy_lost, 100, 2), FormatEstimate(c.score_lost, 1, 5)});
  }
  return out + "\n" + alone.Render();
}

Curve AblationCurve(const AblationResult& result) {
  const auto series = [](std::string name, const std::vector<AblationRow>& rows) {
    CurveSeries s{std::move(name), {}};
    for (const AblationRow& row : rows) {
      s.points.push_back(
          {100 * row.accuracy.value, 100 * row.accuracy.low, 100 * row.accuracy.high});
    }
    return s;
  };
  return {"Accuracy when attention layers are replaced by their means",
          "k attention layers",
          "accuracy, %",
          {series("first k replaced", result.cumulative),
           series("only the last k kept", result.last_only)}};
}

Json ReconstructionJson(const ReconstructionReport& report) {
  const std::vector<PoolReconstruction>& pools = report.pools;
  const Index images = pools.empty() ? 0 : pools.front().result.images;
  Json json = SettingJson("cliplens.reconstruct/2", report.setting, images);
  json["layers"] = report.layers;
  json["pools"] = Json::array();
  for (const PoolReconstruction& pool : pools) {
    const auto row = [](const ReconstructionRow& r) {
      return Json{{"accuracy", EstimateJson(r.accuracy)},
                  {"accuracy_alone", EstimateJson(r.accuracy_alone)}};
    };
    json["heads"] = pool.result.heads;
    json["nothing"] = row(pool.result.nothing);
    json["whole"] = row(pool.result.whole);
    Json entry = {{"pool", PoolJson(pool.pool, pool.texts, pool.blank)}, {"rows", Json::array()}};
    for (const ReconstructionRow& r : pool.result.rows) {
      Json line = {{"count", r.count}};
      line.update(row(r));
      line["distinct_texts"] = r.distinct_texts;
      line["explained"] = r.explained;
      entry["rows"].push_back(std::move(line));
    }
    json["pools"].push_back(std::move(entry));
  }
  return json;
}

std::string ReconstructionCsv(const std::vector<PoolReconstruction>& pools) {
  std::string csv =
      CsvRow({"pool", "count", "accuracy", "accuracy_low", "accuracy_high", "accuracy_alone",
              "accuracy_alone_low", "accuracy_alone_high", "distinct_texts", "explained"});
  for (const PoolReconstruction& pool : pools) {
    const auto line = [&](const ReconstructionRow& r, const std::string& count) {
      std::vector<std::string> cells = {pool.pool, count};
      for (const Estimate* e : {&r.accuracy, &r.accuracy_alone}) {
        std::ranges::copy(Cells(*e), std::back_inserter(cells));
      }
      cells.push_back(std::to_string(r.distinct_texts));
      cells.push_back(CsvNumber(r.explained));
      csv += CsvRow(cells);
    };
    line(pool.result.nothing, "0");
    for (const ReconstructionRow& r : pool.result.rows) line(r, std::to_string(r.count));
    line(pool.result.whole, "whole");
  }
  return csv;
}

std::string ReconstructionTable(const ReconstructionReport& report) {
  const std::vector<PoolReconstruction>& pools = report.pools;
  if (pools.empty()) return "";
  std::string out = SettingText(report.setting, pools.front().result.images);
  out += fmt::format("{} heads of the last {}, earlier attention replaced by its mean\n\n",
                     pools.front().result.heads,
                     report.layers == 1 ? "layer" : fmt::format("{} layers", report.layers));
  Table table({{"pool"},
               {"texts a head", Align::kRight},
               {"accuracy, %", Align::kRight},
               {"heads alone, %", Align::kRight},
               {"variance", Align::kRight},
               {"texts in all", Align::kRight}});
  const auto add = [&](const std::string& pool, const std::string& count,
                       const ReconstructionRow& r) {
    table.AddRow({pool, count, FormatEstimate(r.accuracy, 100, 1),
                  FormatEstimate(r.accuracy_alone, 100, 1), FormatPercent(r.explained),
                  std::to_string(r.distinct_texts)});
  };
  add("", "none", pools.front().result.nothing);
  for (const PoolReconstruction& pool : pools) {
    for (const ReconstructionRow& r : pool.result.rows) {
      add(pool.pool, std::to_string(r.count), r);
    }
  }
  add("", "whole heads", pools.front().result.whole);
  return out + table.Render();
}

}  // namespace cliplens
