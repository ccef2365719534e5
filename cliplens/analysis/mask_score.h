// Compares maps with masks: right pixels, intersections and unions, average precision.
//
//   const ScaledMap scaled = ScaleMap(grid);
//   Print(scaled.empty, CompareWithMask(scaled, mask).average_precision);
#pragma once

#include <array>

#include "cliplens/analysis/mask.h"
#include "cliplens/base/array.h"

namespace cliplens {

// What of a map is object.
enum class MapCut {
  kMean,  // clipped below at 0 and scaled to 0…1, above its mean (arXiv 2310.05916)
  kHalf,  // scaled from its least to its largest value, above one half (arXiv 2406.04341)
};
const char* NameOf(MapCut cut);  // "mean", "half"

// A map scaled to 0…1. A map that is constant, or with kMean nowhere above 0, is all 0 and `empty`
// (the papers' codes divide 0 by 0 there).
struct ScaledMap {
  Array<double, 2> values;
  double threshold = 0;  // values above it are object
  bool empty = false;
};
ScaledMap ScaleMap(ArrayView<const double, 2> map, MapCut cut = MapCut::kMean);

// One picture's pixels. Index 0 is background, 1 object.
struct PictureSegmentation {
  Index counted = 0;
  Index right = 0;
  std::array<Index, 2> intersection = {};
  std::array<Index, 2> union_ = {};
  // Average precision as scikit-learn computes it (steps, equal scores together) of the scores
  // (1 − m, m) of all pixels in fp32 against the mask, one-hot.
  double average_precision = 0;
  bool empty = false;  // the map
};
// Throws Error(kInvalidArgument) for different shapes.
PictureSegmentation CompareWithMask(const ScaledMap& map, const MaskPixels& mask);

}  // namespace cliplens
