// Compares maps with masks: right pixels, intersections and unions, average precision.
//
//   const ScaledMap scaled = ScaleMap(grid);
//   Print(scaled.empty, CompareWithMask(scaled, mask).average_precision);
#pragma once

#include <array>

#include "cliplens/analysis/mask.h"
#include "cliplens/base/array.h"

namespace cliplens {

// A map clipped below at 0 and scaled to 0…1. A map that is constant, or nowhere above 0, is all 0
// and `empty` (the paper's code divides 0 by 0 there).
struct ScaledMap {
  Array<double, 2> values;
  double mean = 0;  // values above it are object
  bool empty = false;
};
ScaledMap ScaleMap(ArrayView<const double, 2> map);

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
