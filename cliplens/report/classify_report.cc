#include "cliplens/report/classify_report.h"

#include <fmt/format.h>

#include "cliplens/base/index.h"
#include "cliplens/report/edit_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

Json PictureJson(const ClassifyReport& report, const ClassifyReport::Picture& picture) {
  Json best = Json::array();
  for (const ClassScore& s : picture.top) {
    best.push_back({{"class", At(report.classes, s.index)},
                    {"similarity", s.similarity},
                    {"probability", s.probability}});
  }
  Json json = {{"path", picture.path}, {"top", std::move(best)}};
  if (picture.label) json["label"] = *picture.label;
  return json;
}

}  // namespace

Json ClassifyJson(const ClassifyReport& report, const ChosenEdit& edit) {
  Json json = {{"format", "cliplens.classify/1"},
               {"model", report.model_name},
               {"precision", report.precision},
               {"images", report.pictures.size()},
               {"classes", report.classes},
               {"templates", report.templates},
               {"labelled", report.labelled},
               {"labels_not_among_classes", report.foreign},
               {"probabilities", report.sigmoid ? "sigmoid" : "softmax"}};
  PutEdit(json, edit);
  if (report.labelled > 0) json["accuracy"] = report.accuracy();
  PutLosses(json, report.oriented, report.skipped, report.incomplete, report.left_out);
  json["results"] = Json::array();
  for (const ClassifyReport::Picture& picture : report.pictures) {
    json["results"].push_back(PictureJson(report, picture));
  }
  return json;
}

std::string ClassifyTable(const ClassifyReport& report) {
  Table table({{"picture"}, {"class"}, {"p", Align::kRight}, {"label"}});
  for (const ClassifyReport::Picture& picture : report.pictures) {
    for (std::size_t k = 0; k < picture.top.size(); ++k) {
      table.AddRow({k == 0 ? picture.path : "", At(report.classes, picture.top[k].index),
                    fmt::format("{:.3f}", picture.top[k].probability),
                    k == 0 ? picture.label.value_or("") : ""});
    }
  }
  std::string out = table.Render();
  if (report.sigmoid) {
    out += "\np: the sigmoid of scale x cosine + bias, of each class by itself\n";
  }
  if (report.labelled > 0) {
    out += fmt::format("\naccuracy {:.4f} ({} of {} pictures with a label among the {} classes)\n",
                       report.accuracy(), report.correct, report.labelled, report.classes.size());
  }
  if (report.foreign > 0) {
    out += fmt::format("{} pictures have a label that is no class\n", report.foreign);
  }
  return out;
}

std::string RowLines(const EmbedReport& report) {
  std::string out;
  for (std::size_t row = 0; row < report.items.size(); ++row) {
    Json line = {{"row", row}};
    if (report.lines.empty()) {
      line["path"] = report.items[row];
    } else {
      line["text"] = report.items[row];
      line["line"] = report.lines[row];
    }
    out += DumpJson(line) + "\n";
  }
  return out;
}

Json EmbedJson(const EmbedReport& report, const ChosenEdit& edit) {
  Json json = {{"format", "cliplens.embed/1"},
               {"model", report.model_name},
               {"fingerprint", report.fingerprint},
               {"precision", report.precision},
               {"shape", report.shape},
               {"out", report.out},
               {"rows", report.rows_out},
               {"items", report.items}};
  PutEdit(json, edit);
  if (!report.lines.empty()) json["lines"] = report.lines;
  PutLosses(json, report.oriented, report.skipped, report.incomplete, report.left_out);
  return json;
}

}  // namespace cliplens
