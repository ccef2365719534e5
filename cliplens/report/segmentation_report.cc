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

std::string Bounded(const Estimate& e) {
  return fmt::format("{:.1f} ({:.1f} to {:.1f})", 100 * e.value, 100 * e.low, 100 * e.high);
}

void AddFigures(Table& table, const char* name, const SegmentationFigures& figures) {
  table.AddRow({name, fmt::format("{}", figures.pictures), Bounded(figures.pixel_accuracy),
                Bounded(figures.mean_iou), Bounded(figures.mean_ap),
                fmt::format("{}", figures.empty_maps)});
}

}  // namespace

Json SegmentationJson(const SegmentationReport& report) {
  const SegmentationResult& result = report.result;
  Json data = {{"kind", report.kind}, {"root", report.root}};
  if (!report.split.empty()) data["split"] = report.split;
  Json json = {{"format", "cliplens.evaluate.segmentation/2"},
               {"model", {{"name", report.model_name}, {"fingerprint", report.fingerprint}}},
               {"data", data},
               {"classes", {{"name", report.classes_name}, {"classes", report.classes}}},
               {"templates", report.templates},
               {"heads", report.heads},
               {"method", NameOf(report.method)},
               {"geometry", NameOf(report.geometry)},
               {"class_of_map", report.truth ? "label" : "answer"},
               {"images_without_mask", result.without_mask},
               {"images_without_label", result.without_label},
               {"labelled", result.labelled},
               {"all", FiguresJson(result.all)}};
  if (result.right) json["rightly_classified"] = FiguresJson(*result.right);
  return json;
}

std::string SegmentationTable(const SegmentationReport& report) {
  const SegmentationResult& result = report.result;
  std::string out =
      fmt::format("{} of {}, geometry {}; bounds hold 95 %\n\n", NameOf(report.method),
                  report.truth ? "the picture's label" : "the class that the model answers",
                  NameOf(report.geometry));
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

MaskedPicture MaskPicture(const ClipModel& model, const TokenPass& pass, const Image& picture,
                          const std::string& path, const MaskOf& of, int threads) {
  const Index width = picture.width;
  const Index height = picture.height;
  MaskedPicture out{.mask = {.model_name = model.name(),
                             .fingerprint = model.fingerprint(),
                             .picture = path,
                             .width = width,
                             .height = height,
                             .text = of.text,
                             .heads = of.heads_text,
                             .region = {}},
                    .image = {.mode = PixelMode::kGray,
                              .width = width,
                              .height = height,
                              .pixels = {},
                              .palette = {},
                              .clear_color = std::nullopt},
                    .values = Array<float, 2>({height, width})};
  const ClassMaps maps(model, of.classes != nullptr ? of.classes->rows : of.row,
                       MapMethod::kDecomposition, of.heads, threads);
  Index chosen = 0;
  if (of.classes != nullptr) {
    out.mask.classes = static_cast<Index>(of.classes->names.size());
    out.mask.answer = of.class_name.empty();
    chosen = out.mask.answer ? maps.Answers(pass.embedding)[0] : of.classes->Find(of.class_name);
    out.mask.text = At(of.classes->names, chosen);
  }
  const GridRegion region = RegionOf(width, height, model.config());
  out.mask.region = PixelsOf(region, width, height);
  const auto [columns, rows] = out.mask.region;
  const Array<double, 2> on_picture =
      MapOnPicture(maps.MapOf(pass.captures, chosen), region, width, height);
  Array<double, 2> seen({rows.size(), columns.size()});
  for (Index y = 0; y < rows.size(); ++y) {
    std::copy_n(on_picture.row(rows.begin + y).data() + columns.begin, columns.size(),
                seen.row(y).data());
  }
  const ScaledMap scaled = ScaleMap(seen);
  out.mask.mean = scaled.mean;
  out.mask.empty = scaled.empty;
  out.image.pixels.assign(ToSize(width * height), 0);
  for (Index y = 0; y < rows.size(); ++y) {
    for (Index x = 0; x < columns.size(); ++x) {
      const Index at_y = rows.begin + y;
      const Index at_x = columns.begin + x;
      out.values(at_y, at_x) = static_cast<float>(scaled.values(y, x));
      if (scaled.values(y, x) <= scaled.mean) continue;
      At(out.image.pixels, at_y * width + at_x) = 255;
      ++out.mask.object_pixels;
    }
  }
  return out;
}

Json PictureMaskJson(const PictureMask& mask) {
  return {{"format", "cliplens.segment/1"},
          {"model", {{"name", mask.model_name}, {"fingerprint", mask.fingerprint}}},
          {"picture", {{"path", mask.picture}, {"width", mask.width}, {"height", mask.height}}},
          {"text", mask.text},
          {"answer", mask.answer},
          {"classes", mask.classes},
          {"heads", mask.heads},
          {"region",
           {{"left", mask.region.x.begin},
            {"top", mask.region.y.begin},
            {"right", mask.region.x.end},
            {"bottom", mask.region.y.end}}},
          {"mean", mask.mean},
          {"empty", mask.empty},
          {"object_pixels", mask.object_pixels}};
}

}  // namespace cliplens
