#include "cliplens/report/edit_report.h"

#include <cmath>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

double LengthOf(std::span<const float> values) {
  double square = 0;
  for (const float v : values) square += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(square);
}

}  // namespace

Json EditJson(const Edit& edit, const std::string& file) {
  Json json = {{"format", "cliplens.edit.show/1"},
               {"file", file},
               {"model", {{"name", edit.model_name}, {"fingerprint", edit.fingerprint}}}};
  if (edit.means_images > 0) {
    json["means"] = {{"store", edit.means}, {"images", edit.means_images}};
  }
  if (!edit.note.empty()) json["note"] = edit.note;
  json["components"] = Json::array();
  for (const EditComponent& c : edit.components) {
    Json entry = {{"component", NameOf(c.target)}, {"mode", c.mean ? "mean" : "scale"}};
    if (c.mean) {
      entry["mean_length"] = LengthOf(c.constant);
    } else {
      entry["scale"] = c.scale;
    }
    json["components"].push_back(std::move(entry));
  }
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

}  // namespace cliplens
