#include "cliplens/report/segmentation_report.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

Json FiguresJson(const SegmentationFigures& figures) {
  return {{"images", figures.pictures},
          {"empty_maps", figures.empty_maps},
          {"pixel_accuracy", EstimateJson(figures.pixel_accuracy)},
          {"iou_background", EstimateJson(figures.iou[0])},
          {"iou_object", EstimateJson(figures.iou[1])},
          {"mean_iou", EstimateJson(figures.mean_iou)},
          {"mean_ap", EstimateJson(figures.mean_ap)}};
}

void AddFigures(Table& table, const char* name, const SegmentationFigures& figures) {
  table.AddRow({name, fmt::format("{}", figures.pictures),
                FormatEstimate(figures.pixel_accuracy, 100, 1),
                FormatEstimate(figures.mean_iou, 100, 1), FormatEstimate(figures.mean_ap, 100, 1),
                fmt::format("{}", figures.empty_maps)});
}

}  // namespace

Json SegmentationJson(const SegmentationReport& report) {
  const SegmentationResult& result = report.result;
  Json data = {{"kind", report.kind}, {"root", report.root}};
  if (!report.split.empty()) data["split"] = report.split;
  Json json = {{"format", "cliplens.evaluate.segmentation/2"},
               {"model", ModelJson(report.model_name, report.fingerprint)},
               {"data", data},
               {"classes", {{"name", report.classes_name}, {"classes", report.classes}}},
               {"templates", report.templates},
               {"heads", report.heads},
               {"method", NameOf(report.method)},
               {"geometry", NameOf(report.options.geometry)},
               {"cut", NameOf(report.options.cut)},
               {"class_of_map", report.options.truth ? "label" : "answer"},
               {"images_without_mask", result.without_mask},
               {"images_without_label", result.without_label},
               {"labelled", result.labelled},
               {"all", FiguresJson(result.all)}};
  if (result.right) json["rightly_classified"] = FiguresJson(*result.right);
  PutLosses(json, result.oriented, result.skipped, result.incomplete, report.left_out);
  return json;
}

std::string SegmentationTable(const SegmentationReport& report) {
  const SegmentationResult& result = report.result;
  std::string out =
      fmt::format("{} of {}, geometry {}, cut at {}; bounds hold 95 %\n\n", NameOf(report.method),
                  report.options.truth ? "the picture's label" : "the class that the model answers",
                  NameOf(report.options.geometry),
                  report.options.cut == MapCut::kMean ? "the mean" : "one half");
  Table table({{"pictures"},
               {"number", Align::kRight},
               {"pixel accuracy, %", Align::kRight},
               {"mIoU, %", Align::kRight},
               {"mAP, %", Align::kRight},
               {"empty maps", Align::kRight}});
  AddFigures(table, "all", result.all);
  if (result.right) AddFigures(table, "rightly classified", *result.right);
  out += table.Render();
  if (result.without_mask > 0) {
    out += fmt::format("\n{} pictures have no mask and are not counted\n", result.without_mask);
  }
  if (result.without_label > 0) {
    out += fmt::format("\n{} pictures have no label among the classes and are not counted\n",
                       result.without_label);
  }
  return out;
}

Json PictureMaskJson(const PictureMask& mask) {
  Json json = {
      {"format", "cliplens.segment/1"},
      {"model", ModelJson(mask.model_name, mask.fingerprint)},
      {"picture", {{"path", mask.picture}, {"width", mask.width}, {"height", mask.height}}},
      {"text", mask.text},
      {"answer", mask.answer},
      {"classes", mask.classes},
      {"method", NameOf(mask.method)},
      {"heads", mask.heads},
      {"cut", NameOf(mask.cut)},
      {"region",
       {{"left", mask.region.x.begin},
        {"top", mask.region.y.begin},
        {"right", mask.region.x.end},
        {"bottom", mask.region.y.end}}},
      {"mean", mask.mean},
      {"threshold", mask.threshold},
      {"empty", mask.empty},
      {"object_pixels", mask.object_pixels}};
  PutOriented(json, mask.oriented);
  return json;
}

}  // namespace cliplens
