#include "cliplens/report/comparison_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/report/csv.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

Json EstimateOrNull(const std::optional<Estimate>& estimate) {
  return estimate ? EstimateJson(*estimate) : Json(nullptr);
}

Json SideJson(const StoreInfo& store) {
  return {{"model", ModelJson(store)}, {"data", DataJson(store)}, {"images", store.images}};
}

Json ChangeJson(const ComponentChange& c) {
  return {{"component", NameOf(c.id)},
          {"share_a", EstimateOrNull(c.share_a)},
          {"share_b", EstimateOrNull(c.share_b)},
          {"share_change", EstimateOrNull(c.share_change)},
          {"similarity", EstimateOrNull(c.similarity)}};
}

Json ComparedLabelsJson(const ComparedLabels& labels) {
  Json json = {{"name", labels.name},
               {"compared", labels.heads},
               {"changed", labels.changed},
               {"heads", Json::array()}};
  const auto text = [](const ComparedLabel& label) {
    return label.label.empty() ? Json(nullptr) : Json(label.label);
  };
  for (const auto& [head, label] : labels.a) {
    const auto other = labels.b.find(head);
    if (other == labels.b.end()) continue;
    json["heads"].push_back({{"head", HeadName(head)},
                             {"label_a", text(label)},
                             {"label_b", text(other->second)},
                             {"confidence_a", label.confidence},
                             {"confidence_b", other->second.confidence}});
  }
  return json;
}

Json AccuracyJson(const ComparedAnswers& answers) {
  const AnswerChange& change = answers.change;
  return {{"labelled", change.labelled},
          {"labels_not_among_classes", answers.foreign},
          {"both", change.counts.both},
          {"lost", change.counts.first},
          {"gained", change.counts.second},
          {"neither", change.counts.neither},
          {"a", EstimateOrNull(change.accuracy_a)},
          {"b", EstimateOrNull(change.accuracy_b)},
          {"difference", EstimateOrNull(change.difference)},
          {"p", change.p ? Json(*change.p) : Json(nullptr)}};
}

Json FlipJson(const ComparedAnswers& answers, const Flip& flip, const Components& components) {
  const auto name = [&](Index c) { return c < 0 ? Json(nullptr) : Json(At(answers.classes, c)); };
  Json json = {{"path", At(answers.common.paths, flip.picture)},
               {"item_a", At(answers.common.a, flip.picture)},
               {"item_b", At(answers.common.b, flip.picture)},
               {"label", name(flip.label)},
               {"before", name(flip.before)},
               {"after", name(flip.after)},
               {"margin_a", flip.margin_a},
               {"margin_b", flip.margin_b},
               {"change", flip.change()},
               {"components", Json::array()}};
  for (const Index number : ComponentsOfFlip(flip)) {
    json["components"].push_back({{"component", NameOf(components.at(number))},
                                  {"a", At(flip.components_a, number)},
                                  {"b", At(flip.components_b, number)},
                                  {"change", flip.ComponentChange(number)}});
  }
  return json;
}

Json FlipsJson(const ComparisonReport& report) {
  const ComparedAnswers& answers = *report.answers;
  const Components& components = answers.components;
  Json json = {{"images", answers.change.images},
               {"count", answers.change.flips.size()},
               {"listed", Json::array()},
               {"means", Json::array()}};
  for (Index f = 0; f < report.flips; ++f) {
    json["listed"].push_back(FlipJson(answers, At(answers.change.flips, f), components));
  }
  for (const FlipMeans& means : answers.change.means) {
    json["means"].push_back({{"component", NameOf(components.at(means.component))},
                             {"lost", EstimateOrNull(means.lost)},
                             {"gained", EstimateOrNull(means.gained)}});
  }
  return json;
}

Json PairJson(const MapPair& pair) {
  Json json = {{"path", pair.picture_a.path}, {"text", pair.a.text}};
  if (!pair.a.against.empty()) json["against"] = pair.a.against;
  json["score_a"] = pair.a.map.score;
  json["score_b"] = pair.b.map.score;
  json["map_a"] = GridJson(pair.a.map.grid);
  json["map_b"] = GridJson(pair.b.map.grid);
  return json;
}

std::string BoundedText(const std::optional<Estimate>& e, double factor, int decimals) {
  return e ? FormatEstimate(*e, factor, decimals) : "unknown";
}

std::string PercentOf(const std::optional<Estimate>& e) {
  return e ? FormatPercent(e->value) : "unknown";
}

// "+0.051", as flips say what a component did.
std::string SignedText(double value) { return (value < 0 ? "" : "+") + FormatNumber(value, 4); }

std::string LabelIn(const std::map<HeadId, ComparedLabel>& labels, HeadId head) {
  const auto found = labels.find(head);
  if (found == labels.end()) return "";
  return found->second.label.empty() ? "none" : found->second.label;
}

std::string HeadsTable(const ComparisonReport& report, const ComparisonView& view) {
  std::vector<TableColumn> columns = {{"head"},
                                      {"likeness (CKA)", Align::kRight},
                                      {"share before", Align::kRight},
                                      {"after", Align::kRight},
                                      {"change, points", Align::kRight}};
  if (report.labels) columns.insert(columns.end(), {{"label before"}, {"after"}});
  Table table(columns);
  const std::vector<const ComponentChange*> heads = HeadsByChange(report, view.order);
  const std::size_t shown = std::min(ToSize(view.heads), heads.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const ComponentChange& c = *heads[i];
    std::vector<std::string> cells = {NameOf(c.id), BoundedText(c.similarity, 1, 3),
                                      PercentOf(c.share_a), PercentOf(c.share_b),
                                      BoundedText(c.share_change, 100, 1)};
    if (report.labels) {
      cells.push_back(LabelIn(report.labels->a, c.id.head_id()));
      cells.push_back(LabelIn(report.labels->b, c.id.head_id()));
    }
    table.AddRow(std::move(cells));
  }
  std::string out = table.Render();
  if (shown < heads.size()) {
    out += fmt::format("{} of {} heads, {} first\n", shown, heads.size(),
                       view.order == ChangeOrder::kSimilarity ? "the least alike"
                                                              : "the largest change of the share");
  }
  if (report.labels) {
    out += fmt::format("{} of {} labels changed ({})\n", report.labels->changed,
                       report.labels->heads, report.labels->name);
  }
  return out;
}

std::string AccuracyText(const ComparedAnswers& answers) {
  const AnswerChange& change = answers.change;
  if (!change.difference) return "";
  return fmt::format(
      "\naccuracy, %, on {} pictures with a label among the {} classes of {}:\n"
      "before {}, after {}, difference in points {}\n"
      "{} right before alone, {} right after alone, {} in both, {} in neither; McNemar's exact "
      "test: p = {:.2g}\n",
      change.labelled, answers.classes.size(), answers.classes_name,
      BoundedText(change.accuracy_a, 100, 1), BoundedText(change.accuracy_b, 100, 1),
      BoundedText(change.difference, 100, 1), change.counts.first, change.counts.second,
      change.counts.both, change.counts.neither, *change.p);
}

std::string FlipsTable(const ComparisonReport& report, const ComparisonView& view) {
  const ComparedAnswers& answers = *report.answers;
  const Components& components = answers.components;
  std::string out = fmt::format("\n{} of {} pictures have another answer\n",
                                answers.change.flips.size(), answers.change.images);
  if (report.flips == 0) return out;
  Table table({{"picture"},
               {"label"},
               {"before"},
               {"after"},
               {"change", Align::kRight},
               {"most of it from"}});
  for (Index f = 0; f < report.flips; ++f) {
    const Flip& flip = At(answers.change.flips, f);
    std::string why;
    const std::vector<Index> order = ComponentsOfFlip(flip);
    for (std::size_t i = 0; i < std::min(ToSize(view.components), order.size()); ++i) {
      why += fmt::format("{}{} {}", i == 0 ? "" : ", ", NameOf(components.at(order[i])),
                         SignedText(flip.ComponentChange(order[i])));
    }
    table.AddRow({At(answers.common.paths, flip.picture),
                  flip.label < 0 ? "" : At(answers.classes, flip.label),
                  At(answers.classes, flip.before), At(answers.classes, flip.after),
                  SignedText(flip.change()), why});
  }
  return out + table.Render();
}

// The components that cost and gained most, where there are enough flips for bounds.
std::string MeansTable(const ComparisonReport& report, const ComparisonView& view) {
  const ComparedAnswers& answers = *report.answers;
  const Components& components = answers.components;
  std::string out;
  const auto put = [&](const char* what, Index count, std::optional<Estimate> FlipMeans::*which) {
    std::vector<const FlipMeans*> order;
    for (const FlipMeans& means : answers.change.means) {
      if (means.*which) order.push_back(&means);
    }
    if (order.empty()) return;
    std::ranges::stable_sort(order, std::ranges::greater(),
                             [&](const FlipMeans* m) { return (m->*which)->value; });
    Table table({{fmt::format("{} {} pictures, mean of", count, what)},
                 {"change of the margin", Align::kRight}});
    for (std::size_t i = 0; i < std::min(ToSize(view.components), order.size()); ++i) {
      table.AddRow(
          {NameOf(components.at(order[i]->component)), FormatEstimate(*(order[i]->*which), 1, 4)});
    }
    out += "\n" + table.Render();
  };
  put("lost", answers.change.counts.first, &FlipMeans::lost);
  put("gained", answers.change.counts.second, &FlipMeans::gained);
  return out;
}

std::string MapsTable(const ComparisonReport& report) {
  Table table({{"map"},
               {"text"},
               {"score before", Align::kRight},
               {"after", Align::kRight},
               {"patches before", Align::kRight},
               {"after", Align::kRight}});
  for (const MapPair& pair : report.maps) {
    table.AddRow(
        {pair.picture_a.path,
         pair.a.against.empty() ? pair.a.text : fmt::format("{} - {}", pair.a.text, pair.a.against),
         FormatNumber(pair.a.map.score, 4), FormatNumber(pair.b.map.score, 4),
         FormatNumber(pair.a.map.grid_sum(), 4), FormatNumber(pair.b.map.grid_sum(), 4)});
  }
  return "\n" + table.Render();
}

}  // namespace

Json ComparisonJson(const ComparisonReport& report, const ComparisonView& view) {
  const StoreChange& change = report.change;
  Json json = {{"format", "cliplens.compare/1"},
               {"a", SideJson(report.a)},
               {"b", SideJson(report.b)},
               {"same_model", report.a.fingerprint == report.b.fingerprint},
               {"common", change.common},
               {"images", change.images},
               {"blocks", change.blocks},
               {"from_statistics", change.from_statistics},
               {"similarity", EstimateOrNull(change.similarity)},
               {"heads", Json::array()},
               {"components", Json::array()}};
  for (const ComponentChange* head : HeadsByChange(report, view.order)) {
    json["heads"].push_back(NameOf(head->id));
  }
  for (const ComponentChange& c : change.components) json["components"].push_back(ChangeJson(c));
  if (report.labels) json["labels"] = ComparedLabelsJson(*report.labels);
  if (report.answers) {
    const ComparedAnswers& answers = *report.answers;
    json["classes"] = {{"name", answers.classes_name}, {"classes", answers.classes.size()}};
    json["templates"] = answers.templates;
    json["accuracy"] = AccuracyJson(answers);
    json["flips"] = FlipsJson(report);
  }
  if (!report.maps.empty()) {
    json["maps"] = Json::array();
    for (const MapPair& pair : report.maps) json["maps"].push_back(PairJson(pair));
  }
  json["missing"] = report.missing;
  return json;
}

std::string ComparisonCsv(const ComparisonReport& report) {
  std::vector<std::string> cells = {"component"};
  for (const char* name : {"similarity", "share_a", "share_b", "share_change", "lost", "gained"}) {
    for (const char* part : {"", "_low", "_high"}) cells.push_back(std::string(name) + part);
  }
  for (const char* name : {"label_a", "confidence_a", "label_b", "confidence_b"}) {
    cells.emplace_back(name);
  }
  std::string csv = CsvRow(cells);
  const ComparedLabels labels = report.labels.value_or(ComparedLabels{});
  for (std::size_t i = 0; i < report.change.components.size(); ++i) {
    const ComponentChange& c = report.change.components[i];
    const FlipMeans means = report.answers ? report.answers->change.means.at(i) : FlipMeans{};
    cells = {NameOf(c.id)};
    for (const std::optional<Estimate>& e :
         {c.similarity, c.share_a, c.share_b, c.share_change, means.lost, means.gained}) {
      for (const double Estimate::*part : {&Estimate::value, &Estimate::low, &Estimate::high}) {
        cells.push_back(e ? CsvNumber((*e).*part) : "");
      }
    }
    const auto add_label = [&](const std::map<HeadId, ComparedLabel>& of) {
      const auto found = c.id.is_head() ? of.find(c.id.head_id()) : of.end();
      const bool known = found != of.end();
      cells.push_back(known ? found->second.label : "");
      cells.push_back(known ? CsvNumber(found->second.confidence) : "");
    };
    add_label(labels.a);
    add_label(labels.b);
    csv += CsvRow(cells);
  }
  return csv;
}

std::string ComparisonBasis(const ComparisonReport& report) {
  const StoreChange& change = report.change;
  std::string text = fmt::format("{} and {}", report.a.model_name, report.b.model_name);
  if (report.a.fingerprint == report.b.fingerprint) text += " (the same model)";
  if (change.common == change.images_a && change.common == change.images_b) {
    text += fmt::format(", {} pictures of both stores", change.common);
  } else {
    text += fmt::format(", {} pictures that both stores have of {} and {}", change.common,
                        change.images_a, change.images_b);
  }
  if (change.from_statistics) return text + fmt::format("; statistics in {} slices", change.blocks);
  if (change.images < change.common) text += fmt::format("; heads on {}", change.images);
  return text;
}

std::string ComparisonTable(const ComparisonReport& report, const ComparisonView& view) {
  std::string out = ComparisonBasis(report) + "; bounds hold 95 %\n";
  out += fmt::format("likeness of the embeddings (CKA): {}\n\n",
                     BoundedText(report.change.similarity, 1, 3));
  out += HeadsTable(report, view);
  if (report.answers) {
    out += AccuracyText(*report.answers) + FlipsTable(report, view) + MeansTable(report, view);
  }
  if (!report.maps.empty()) out += MapsTable(report);
  for (const std::string& missing : report.missing) out += "\nnot shown: " + missing + "\n";
  return out;
}

double ScaleOf(const MapPair& pair) {
  double largest = 0;
  for (const HeatMapPanel* panel : {&pair.a, &pair.b}) {
    for (const double v : panel->map.grid.flat()) largest = std::max(largest, std::abs(v));
  }
  return RoundScale(largest);
}

Image ComparisonSheet(const ComparisonReport& report) {
  if (report.maps.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "heat maps: none to draw; {}",
                report.missing.empty() ? "no picture has another answer" : report.missing.back());
  }
  constexpr Index kSide = 240, kGap = 24, kMargin = 28, kHeader = 64, kTitle = 30, kBelow = 84;
  constexpr Index kRow = kTitle + kSide + kBelow;
  Canvas canvas(2 * kMargin + 3 * kSide + 2 * kGap, kHeader + std::ssize(report.maps) * kRow);
  const Index room = canvas.width() - 2 * kMargin;
  canvas.Text({.x = kMargin, .y = 32, .size = 18}, "Where the score comes from, in two models",
              room);
  canvas.Text({.x = kMargin, .y = 52, .size = 12, .color = kMuted}, ComparisonBasis(report), room);
  for (std::size_t i = 0; i < report.maps.size(); ++i) {
    const MapPair& pair = report.maps[i];
    const Index top = kHeader + static_cast<Index>(i) * kRow + kTitle;
    const double scale = ScaleOf(pair);
    const FittedSize size = FitInto(pair.picture_a.rgb, kSide);
    const auto column = [&](Index n) { return kMargin + n * (kSide + kGap); };
    const auto line = [&](Index n, Index y, Color color, std::string_view text) {
      canvas.Text({.x = column(n), .y = top + y, .size = 12, .color = color}, text, kSide);
    };
    line(0, -8, kMuted, pair.picture_a.path);
    canvas.Paste(DrawInput(pair.picture_a, size.width, size.height), column(0), top);
    const std::string of = pair.a.against.empty()
                               ? pair.a.text
                               : fmt::format("{}  \u2212  {}", pair.a.text, pair.a.against);
    const auto put = [&](Index n, const MappedPicture& picture, const HeatMapPanel& panel) {
      line(n, -8, kInk, fmt::format("{}: {}", n == 1 ? "before" : "after", picture.model_name));
      canvas.Paste(DrawMap(picture, panel.map.grid, scale, size.width, size.height), column(n),
                   top);
      line(n, size.height + 20, kInk, of);
      line(n, size.height + 36, kMuted,
           fmt::format("score {}, patches {}", FormatSigned(panel.map.score, 4),
                       FormatSigned(panel.map.grid_sum(), 4)));
    };
    put(1, pair.picture_a, pair.a);
    put(2, pair.picture_b, pair.b);
    DrawScale(canvas, column(0), top + size.height + 12, kSide, scale);
  }
  return canvas.image();
}

}  // namespace cliplens
