// Zero-shot segmentation as JSON (docs/json.md) and tables.
//
//   SegmentationReport report;
//   report.result = EvaluateSegmentation(model, *set, classifier, ClassLabels(classes), {});
//   Print(SegmentationTable(report));
#pragma once

#include <string>

#include "cliplens/analysis/segmentation.h"
#include "cliplens/app/masks.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct SegmentationReport {
  std::string model_name;
  std::string fingerprint;
  std::string kind;  // of the set, and its place and split
  std::string root;
  std::string split;
  std::string classes_name;
  Index classes = 0;
  Index templates = 0;
  std::string heads;  // as chosen
  MapMethod method = MapMethod::kDecomposition;
  MapGeometry geometry = MapGeometry::kAligned;
  bool truth = false;
  SegmentationResult result;
};

// "cliplens.evaluate.segmentation/2".
Json SegmentationJson(const SegmentationReport& report);
std::string SegmentationTable(const SegmentationReport& report);

// "cliplens.segment/1".
Json PictureMaskJson(const PictureMask& mask);

}  // namespace cliplens
