#include "cliplens/report/edit_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cliplens/decompose/edit_file.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/few_pictures.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

double LengthOf(std::span<const float> values) {
  double square = 0;
  for (const float v : values) square += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(square);
}

// Classes that a table and the JSON name, those first that the cue moves most.
constexpr std::size_t kClasses = 20;
constexpr std::size_t kTableClasses = 6;
// Heads that a table names beyond the chosen ones.
constexpr std::size_t kMoreHeads = 5;

void PutShares(Json& json, const CueShares& shares) {
  json["cue"] = EstimateJson(shares.cue);
  json["rest"] = EstimateJson(shares.rest);
  json["surplus"] = EstimateJson(shares.surplus);
}

std::string Percents(const Estimate& e) {
  return fmt::format("{} ({} to {})", FormatPercent(e.value), FormatPercent(e.low),
                     FormatPercent(e.high));
}

}  // namespace

Json EditJson(const Edit& edit, const std::string& file) {
  Json json = {{"format", "cliplens.edit.show/1"},
               {"file", file},
               {"model", ModelJson(edit.model_name, edit.fingerprint)}};
  PutEditMembers(json, edit, [](Json& entry, const EditComponent& c) {
    entry["mean_length"] = LengthOf(c.constant);
  });
  return json;
}

std::string EditTable(const Edit& edit) {
  std::string out = fmt::format("edit of {} ({}): {} component{}\n", Printable(edit.model_name),
                                Printable(edit.fingerprint), edit.components.size(),
                                edit.components.size() == 1 ? "" : "s");
  if (edit.means_images > 0) {
    out += fmt::format("means of {} ({} pictures)\n", Printable(edit.means), edit.means_images);
  }
  if (!edit.note.empty()) out += Printable(edit.note, 4096) + "\n";
  Table table({{"component"}, {"becomes"}, {"length of the mean", Align::kRight}});
  for (const EditComponent& c : edit.components) {
    if (c.mean) {
      table.AddRow({NameOf(c.target), "its mean", fmt::format("{:.4f}", LengthOf(c.constant))});
    } else {
      table.AddRow({NameOf(c.target), fmt::format("{:g} times itself", c.scale), ""});
    }
  }
  return out + "\n" + table.Render();
}

void PutEdit(Json& result, const ChosenEdit& edit) {
  if (edit.edit() == nullptr) return;
  Json components = Json::array();
  for (const EditComponent& c : edit.edit()->components) components.push_back(NameOf(c.target));
  result["edit"] = {
      {"file", edit.path()}, {"components", components}, {"normalized", edit.normalize()}};
}

std::string LeanText(const CueReport& report) {
  const Estimate& lean = report.result.lean;
  const char* const within = report.within_classes ? " within each class" : "";
  const std::string said =
      fmt::format("the cue explains {} of how the class logits differ between pictures{}",
                  Percents(lean), within);
  if (lean.low > 0.5) return "the model leans on the cue more than on all else together: " + said;
  if (lean.low > 0) return "the class logits follow the cue: " + said;
  return "no sure sign that the class logits follow the cue: " + said;
}

Json CueJson(const CueReport& report) {
  const CueResult& r = report.result;
  Json json = {{"format", "cliplens.edit.suggest/2"},
               {"model", ModelJson(report.store)},
               {"data", DataJson(report.store)},
               {"images", r.images},
               {"held_out", r.held_out},
               {"classes", {{"name", report.classes_name}, {"classes", report.classes.size()}}},
               {"cue", report.cue},
               {"own_answers", report.own_answers},
               {"within_classes", report.within_classes},
               {"statement", LeanText(report)},
               {"lean", EstimateJson(r.lean)},
               {"lean_edited", EstimateJson(r.lean_edited)},
               {"groups", Json::array()},
               {"moved", Json::array()}};
  for (std::size_t g = 0; g < report.groups.size(); ++g) {
    json["groups"].push_back({{"group", report.groups[g]}, {"images", r.group_images[g]}});
  }
  for (std::size_t i = 0; i < std::min(kClasses, r.classes.size()); ++i) {
    const CueClass& c = r.classes[i];
    Json entry = {
        {"class", At(report.classes, c.index)}, {"swing", c.swing}, {"groups", Json::array()}};
    for (std::size_t g = 0; g < report.groups.size(); ++g) {
      entry["groups"].push_back(
          {{"logit", EstimateJson(c.logit[g])}, {"answers", EstimateJson(c.answers[g])}});
    }
    json["moved"].push_back(std::move(entry));
  }
  PutShares(json["all_heads"] = Json::object(), r.all_heads);
  PutShares(json["chosen"] = Json::object(), r.chosen);
  json["heads"] = Json::array();
  for (const CueHead& head : r.heads) {
    Json entry = {{"head", HeadName(head.id)},
                  {"chosen", head.chosen},
                  {"surplus_first", head.surplus_first}};
    PutShares(entry, head.shares);
    json["heads"].push_back(std::move(entry));
  }
  if (!report.out.empty()) json["out"] = report.out;
  return json;
}

std::string CueTable(const CueReport& report) {
  const CueResult& r = report.result;
  std::string out = LeanText(report) + "\n";
  out += fmt::format(
      "measured on {} of {} pictures; the groups are {}; no {} was used; bounds hold 95 %\n\n",
      r.held_out, r.images,
      report.own_answers ? "the model's own answers" : "those of the attribute " + report.cue,
      report.own_answers && !report.within_classes
          ? "label"
          : (report.own_answers ? "label but the classes'" : "other label"));
  std::vector<TableColumn> columns = {{"cue"}, {"pictures", Align::kRight}};
  const std::size_t classes = std::min(kTableClasses, r.classes.size());
  for (std::size_t i = 0; i < classes; ++i) {
    columns.push_back({"answers " + At(report.classes, r.classes[i].index), Align::kRight});
  }
  Table moved(columns);
  for (std::size_t g = 0; g < report.groups.size(); ++g) {
    std::vector<std::string> cells = {report.groups[g], std::to_string(r.group_images[g])};
    for (std::size_t i = 0; i < classes; ++i) {
      cells.push_back(r.group_images[g] > 0 ? Percents(r.classes[i].answers[g]) : "");
    }
    moved.AddRow(std::move(cells));
  }
  out += moved.Render() + "\n";
  Table heads({{"head"},
               {"of the cue", Align::kRight},
               {"of the rest", Align::kRight},
               {"surplus", Align::kRight},
               {""}});
  const auto add = [&](const std::string& name, const CueShares& shares, const char* note) {
    heads.AddRow(
        {name, Percents(shares.cue), Percents(shares.rest), Percents(shares.surplus), note});
  };
  std::size_t more = 0;
  for (const CueHead& head : r.heads) {
    if (!head.chosen && ++more > kMoreHeads) break;
    add(HeadName(head.id), head.shares,
        head.chosen ? "chosen" : (more == 1 ? "the list ends" : ""));
  }
  add("all heads", r.all_heads, "");
  add("the chosen", r.chosen, "");
  out += heads.Render() + "\n";
  const std::size_t chosen = r.chosen_heads().size();
  if (chosen == 0) {
    out += "no head carries surely more of the cue than of the rest: no edit is suggested\n";
  } else {
    out += fmt::format("with the {} chosen replaced by their means the cue explains {}\n", chosen,
                       Percents(r.lean_edited));
  }
  out += FewPicturesLine(r.images, kEnoughForCue,
                         "few heads can be told from chance, and the list may be too short");
  return out;
}

}  // namespace cliplens
