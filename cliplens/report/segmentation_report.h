// Zero-shot segmentation as JSON (docs/json.md) and tables.
//
//   const SegmentationReport report =
//       SegmentPictures(model, *set, {.classes = {.classes = "objects.txt"}}, {});
//   Print(SegmentationTable(report));
#pragma once

#include <string>

#include "cliplens/app/masks.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.evaluate.segmentation/2".
Json SegmentationJson(const SegmentationReport& report);
std::string SegmentationTable(const SegmentationReport& report);

// "cliplens.segment/1".
Json PictureMaskJson(const PictureMask& mask);

}  // namespace cliplens
