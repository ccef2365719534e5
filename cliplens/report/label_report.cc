#include "cliplens/report/label_report.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/report/csv.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

const std::string& Name(const LabelReport& report, Index property) {
  return At(report.table.names, property);
}

// The label, or the guess that was withheld.
std::string LabelText(const LabelReport& report, const HeadLabel& head) {
  if (head.label >= 0) return Name(report, head.label);
  return head.guess < 0 ? "none" : fmt::format("none ({}?)", Name(report, head.guess));
}

Json NameOrNull(const LabelReport& report, Index property) {
  return property < 0 ? Json(nullptr) : Json(Name(report, property));
}

std::string CalibrationText(const LabelReport& report) {
  if (report.uncalibrated.empty()) return "confidence calibrated";
  return fmt::format("confidence not calibrated ({})", fmt::join(report.uncalibrated, "; "));
}

Json FiguresJson(const LabelFigures& f) {
  return {{"net", f.net},
          {"next_net", f.next_net},
          {"share", f.share},
          {"error", f.error},
          {"next_error", f.next_error},
          {"stability", f.stability},
          {"head_alignment", f.head_alignment},
          {"text_alignment", f.text_alignment},
          {"text_peak", f.text_peak},
          {"table_alignment", f.table_alignment},
          {"table_peak", f.table_peak},
          {"images", f.images},
          {"properties", f.properties},
          {"texts", f.texts}};
}

Json HeadJson(const LabelReport& report, const HeadLabel& head) {
  Json json = {{"head", HeadName(head.id)},
               {"label", NameOrNull(report, head.label)},
               {"guess", NameOrNull(report, head.guess)},
               {"second", NameOrNull(report, head.second)},
               {"confidence", head.confidence},
               {"stability", head.stability},
               {"coverage", head.coverage},
               {"rival", NameOrNull(report, head.rival)},
               {"figures", FiguresJson(head.figures)},
               {"properties", Json::array()},
               {"texts", Json::array()},
               {"pictures", Json::array()}};
  for (std::size_t p = 0; p < head.properties.size(); ++p) {
    const PropertyShare& property = head.properties[p];
    json["properties"].push_back({{"property", report.table.names[p]},
                                  {"share", EstimateJson(property.share)},
                                  {"beyond", property.beyond},
                                  {"chance", property.chance},
                                  {"turned", property.turned},
                                  {"shared", property.shared},
                                  {"net", property.net}});
  }
  for (const LabelEvidence& text : head.texts) {
    json["texts"].push_back({{"text", At(report.pool.texts, text.index)},
                             {"index", text.index},
                             {"share", text.share}});
  }
  for (const LabelEvidence& picture : head.pictures) {
    json["pictures"].push_back({{"item", picture.index},
                                {"path", report.paths.at(picture.index)},
                                {"score", picture.share}});
  }
  return json;
}

Json ScoresJson(const LabelReport& report) {
  const LabelScores& s = report.scores;
  return {{"pool", report.scores_pool},     {"heads", s.heads},
          {"labelled", s.labelled},         {"properties", s.properties},
          {"entanglement", s.entanglement}, {"entanglement_by_heads", s.entanglement_by_heads},
          {"association", s.association},   {"consistency", s.consistency},
          {"repetition", s.repetition}};
}

// What the overview says of a head.
Json SummaryOf(const Json& head, const LabelFile& file) {
  Json summary = Json::object();
  for (const char* key :
       {"head", "label", "guess", "second", "confidence", "stability", "coverage", "rival"}) {
    summary[key] = JsonField<Json>(head, key, file.place);
  }
  Index explained = 0;
  Json shares = Json::array(), beyond = Json::array();
  for (const Json& property : JsonList(head, "properties", file.place)) {
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

Json LabelJson(const LabelReport& report) {
  Json json = {{"format", "cliplens.label/3"},
               {"model", ModelJson(report.store)},
               {"data", DataJson(report.store)},
               {"images", report.store.images},
               {"properties_name", report.properties_name},
               {"calibrated", report.uncalibrated.empty()},
               {"uncalibrated_because", report.uncalibrated},
               {"heads", Json::array()},
               {"properties", Json::array()}};
  for (const HeadLabel& head : report.labels) {
    json["heads"].push_back(HeadJson(report, head));
  }
  for (std::size_t p = 0; p < report.table.names.size(); ++p) {
    Json property = {
        {"property", report.table.names[p]}, {"texts", Json::array()}, {"heads", Json::array()}};
    for (const Index text : report.table.texts[p]) {
      property["texts"].push_back(At(report.pool.texts, text));
    }
    for (const HeadLabel* head : HeadsOfProperty(report, p)) {
      property["heads"].push_back(
          {{"head", HeadName(head->id)}, {"share", head->properties[p].share.value}});
    }
    json["properties"].push_back(std::move(property));
  }
  json["scores"] = ScoresJson(report);
  return json;
}

Json LabelSummaryJson(const LabelReport& report) {
  return {{"model", ModelJson(report.store)},
          {"images", report.store.images},
          {"calibrated", report.uncalibrated.empty()},
          {"uncalibrated_because", report.uncalibrated},
          {"scores", ScoresJson(report)}};
}

Json LabelOverviewJson(const Json& labels, const LabelFile& file) {
  const std::string& place = file.place;
  const Json entries = JsonField<Json>(labels, "heads", place);
  std::map<HeadId, Json> heads;
  for (std::size_t i = 0; i < file.heads.size(); ++i) {
    heads.emplace(file.heads[i].id, SummaryOf(entries[i], file));
  }
  Json json = {{"properties_name", JsonField<std::string>(labels, "properties_name", place)},
               {"calibrated", JsonField<bool>(labels, "calibrated", place)},
               {"uncalibrated_because", file.uncalibrated},
               {"properties", file.properties},
               {"scores", JsonField<Json>(labels, "scores", place)},
               {"heads", Json::array()}};
  for (const auto& [id, head] : heads) json["heads"].push_back(head);
  return json;
}

std::string LabelCsv(const LabelReport& report) {
  std::string csv = CsvRow({"head", "label", "guess", "second", "confidence", "stability",
                            "coverage", "rival", "property", "share", "share_low", "share_high",
                            "beyond", "chance", "turned", "shared", "net"});
  const auto name = [&](Index property) {
    return property < 0 ? std::string() : Name(report, property);
  };
  for (const HeadLabel& head : report.labels) {
    for (std::size_t p = 0; p < head.properties.size(); ++p) {
      const PropertyShare& property = head.properties[p];
      csv +=
          CsvRow({HeadName(head.id), name(head.label), name(head.guess), name(head.second),
                  CsvNumber(head.confidence), CsvNumber(head.stability), CsvNumber(head.coverage),
                  name(head.rival), report.table.names[p], CsvNumber(property.share.value),
                  CsvNumber(property.share.low), CsvNumber(property.share.high),
                  CsvNumber(property.beyond), CsvNumber(property.chance),
                  CsvNumber(property.turned), CsvNumber(property.shared), CsvNumber(property.net)});
    }
  }
  return csv;
}

std::string LabelTable(const LabelReport& report) {
  const auto name = [&](Index property) {
    return property < 0 ? std::string("none") : Name(report, property);
  };
  Table heads({{"head"},
               {"label"},
               {"confidence", Align::kRight},
               {"stability", Align::kRight},
               {"coverage", Align::kRight},
               {"also"},
               {"rival"},
               {"speaks for it"}});
  for (const HeadLabel& head : report.labels) {
    std::string rival = name(head.rival);
    if (head.rival >= 0) {
      rival += " +" + FormatPercent(At(head.properties, head.rival).beyond);
    }
    heads.AddRow({HeadName(head.id), LabelText(report, head),
                  head.guess < 0 ? "" : fmt::format("{:.2f}", head.confidence),
                  head.guess < 0 ? "" : fmt::format("{:.2f}", head.stability),
                  head.guess < 0 ? "" : FormatPercent(head.coverage),
                  head.second < 0 ? "" : name(head.second), rival,
                  head.texts.empty() ? "" : At(report.pool.texts, head.texts[0].index)});
  }
  std::string out = heads.Render() + "\n";
  Table properties({{"property"}, {"heads, by the share of their variance that it explains"}});
  for (std::size_t p = 0; p < report.table.names.size(); ++p) {
    std::string list;
    std::size_t shown = 0;
    for (const HeadLabel* head : HeadsOfProperty(report, p)) {
      if (shown++ == 5) {
        list += ", ...";
        break;
      }
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", HeadName(head->id),
                          FormatPercent(head->properties[p].share.value));
    }
    properties.AddRow({report.table.names[p], list});
  }
  out += properties.Render() + "\n";
  const LabelScores& s = report.scores;
  out += fmt::format(
      "{} of {} heads labelled with {} properties; {}\n"
      "entanglement {:.2f} heads a label ({:.3f} by the number of heads); at least 3 of 5 texts of "
      "{} agree in {} of heads\n",
      s.labelled, s.heads, s.properties, CalibrationText(report), s.entanglement,
      s.entanglement_by_heads, report.scores_pool, FormatPercent(s.association.at(3)));
  return out;
}

std::string LabelComparisonTable(const LabelReport& first, const LabelReport& second) {
  const auto column = [](const LabelReport& report) {
    return fmt::format("{} ({} pictures)", report.store.model_name, report.store.images);
  };
  Table scores({{"score"}, {column(first), Align::kRight}, {column(second), Align::kRight}});
  const auto row = [&](const std::string& name, const auto& text) {
    scores.AddRow({name, text(first), text(second)});
  };
  const auto part = [](Index some, Index all) {
    return fmt::format(
        "{} of {} ({})", some, all,
        FormatPercent(all == 0 ? 0.0 : static_cast<double>(some) / static_cast<double>(all)));
  };
  row("heads labelled",
      [&](const LabelReport& r) { return part(r.scores.labelled, r.scores.heads); });
  row("distinct labels",
      [](const LabelReport& r) { return fmt::format("{}", r.scores.properties); });
  row("entanglement (heads a label)",
      [](const LabelReport& r) { return fmt::format("{:.2f}", r.scores.entanglement); });
  row("entanglement by heads",
      [](const LabelReport& r) { return fmt::format("{:.3f}", r.scores.entanglement_by_heads); });
  for (const std::size_t k : {std::size_t{3}, std::size_t{5}}) {
    row(fmt::format("association, {} of 5 texts", k),
        [&](const LabelReport& r) { return FormatPercent(r.scores.association.at(k)); });
  }
  row("repetition",
      [](const LabelReport& r) { return fmt::format("{:.2f}", r.scores.repetition); });
  row("confidence", [](const LabelReport& r) {
    return std::string(r.uncalibrated.empty() ? "calibrated" : "not calibrated");
  });
  for (const std::string& name : first.table.names) {
    row("heads labelled " + name, [&](const LabelReport& r) {
      const auto of_name = std::ranges::count_if(r.labels, [&](const HeadLabel& head) {
        return head.label >= 0 && Name(r, head.label) == name;
      });
      return fmt::format("{}", of_name);
    });
  }
  return scores.Render() + "\n";
}

Json LabelEvaluationJson(const LabelTruthReport& all) {
  const LabelReport& report = all.labels;
  const std::vector<Factor>& factors = all.factors;
  const std::vector<HeadTruth>& truth = all.truth;
  const LabelEvaluation& e = all.evaluation;
  Json json = {{"format", "cliplens.evaluate.labels/3"},
               {"model", ModelJson(report.store)},
               {"data", DataJson(report.store)},
               {"images", all.images},
               {"properties_name", report.properties_name},
               {"calibrated", report.uncalibrated.empty()},
               {"uncalibrated_because", report.uncalibrated},
               {"heads", e.heads},
               {"right", e.right},
               {"abstained", e.abstained},
               {"clear", e.clear},
               {"clear_right", e.clear_right},
               {"guesses_right", e.guesses_right},
               {"clear_guesses_right", e.clear_guesses_right},
               {"fidelity", e.fidelity},
               {"fidelity_of_labelled", e.fidelity_of_labelled},
               {"fidelity_of_guesses", e.fidelity_of_guesses},
               {"abstained_variance", e.abstained_variance},
               {"commonest", e.commonest},
               {"calibration_error", e.calibration_error},
               {"mean_confidence", e.mean_confidence},
               {"bins", Json::array()},
               {"factors", Json::array()},
               {"truth", Json::array()}};
  for (const ReliabilityBin& bin : e.bins) {
    json["bins"].push_back({{"low", bin.low},
                            {"high", bin.high},
                            {"heads", bin.heads},
                            {"confidence", bin.confidence},
                            {"right", bin.right}});
  }
  for (const Factor& factor : factors) {
    json["factors"].push_back({{"factor", factor.name}, {"values", factor.values.size()}});
  }
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const HeadTruth& head = truth[i];
    const HeadLabel& label = report.labels[i];
    const auto factor = [&](Index f) { return f < 0 ? Json(nullptr) : Json(At(factors, f).name); };
    Json entry = {{"head", HeadName(head.id)},
                  {"first", factor(head.first)},
                  {"second", factor(head.second)},
                  {"clear", head.clear},
                  {"variance", head.variance},
                  {"label", NameOrNull(report, label.label)},
                  {"guess", NameOrNull(report, label.guess)},
                  {"confidence", label.confidence},
                  {"shares", Json::array()}};
    for (std::size_t f = 0; f < factors.size(); ++f) {
      entry["shares"].push_back(
          {{"factor", factors[f].name}, {"share", EstimateJson(head.shares[f])}});
    }
    json["truth"].push_back(std::move(entry));
  }
  return json;
}

std::string LabelEvaluationTable(const LabelTruthReport& all) {
  const LabelReport& report = all.labels;
  const std::vector<Factor>& factors = all.factors;
  const std::vector<HeadTruth>& truth = all.truth;
  const LabelEvaluation& e = all.evaluation;
  Table table({{"head"},
               {"first factor"},
               {"share", Align::kRight},
               {"second"},
               {"share", Align::kRight},
               {"label"},
               {"confidence", Align::kRight},
               {""}});
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const HeadTruth& head = truth[i];
    const HeadLabel& label = report.labels[i];
    const auto name = [&](Index f) { return f < 0 ? std::string("none") : At(factors, f).name; };
    const auto share = [&](Index f) {
      return f < 0 ? std::string() : FormatPercent(At(head.shares, f).value);
    };
    table.AddRow(
        {HeadName(head.id), name(head.first) + (head.clear ? "" : " (mixed)"), share(head.first),
         name(head.second), share(head.second), LabelText(report, label),
         label.guess < 0 ? "" : fmt::format("{:.2f}", label.confidence),
         label.guess >= 0 && Name(report, label.guess) != name(head.first) ? "wrong" : ""});
  }
  return table.Render() +
         fmt::format(
             "\n{} pictures; {} of {} heads right, {} without a label; {} of {} clear heads right\n"
             "by variance: {} right ({} of the labelled), {} without a label; always the commonest "
             "factor: {}\n"
             "best guesses: {} of {} heads right, {} of {} clear heads, {} by variance\n"
             "expected calibration error {:.3f} (mean confidence {:.3f}); {}\n",
             all.images, e.right, e.heads, e.abstained, e.clear_right, e.clear,
             FormatPercent(e.fidelity), FormatPercent(e.fidelity_of_labelled),
             FormatPercent(e.abstained_variance), FormatPercent(e.commonest), e.guesses_right,
             e.heads, e.clear_guesses_right, e.clear, FormatPercent(e.fidelity_of_guesses),
             e.calibration_error, e.mean_confidence, CalibrationText(report));
}

}  // namespace cliplens
