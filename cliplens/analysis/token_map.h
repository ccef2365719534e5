// From tokens to pixels: maps on a model's grid of patches, enlarged and laid on the picture.
//
//   const GridRegion region = RegionOf(picture.width, picture.height, model.config());
//   const Array<double, 2> map = MapOnPicture(grid, region, picture.width, picture.height);
//
// Patches are squares of the model's input, and the input is a part of the resized picture, so a
// map covers the area of that part only and is never stretched over pixels that the model did not
// see.
#pragma once

#include <span>

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

// The grid [g, g] of token scores [N]. The tokens before the patches have no place and are left
// out. Throws Error(kInvalidArgument) for another N.
Array<double, 2> GridOf(std::span<const double> tokens, const TokenLayout& layout);

// Bilinear, with half-pixel centres and values beyond the outermost centres clamped to them: what
// PyTorch calls align_corners=False. Throws Error(kInvalidArgument) for an empty map or size.
Array<double, 2> ResizeMap(ArrayView<const double, 2> map, Index height, Index width);

// Where the grid of patches lies on a picture, in the picture's own pixels: pixel x covers [x,
// x+1]. Parts of it may lie beside the picture where the model's input has a border.
struct GridRegion {
  double left = 0, top = 0, right = 0, bottom = 0;
};
// Of a picture of width x height pixels. Throws as PlacementOf.
GridRegion RegionOf(Index width, Index height, const ModelConfig& config);

// The region in whole pixels: the pixels of the picture whose centre lies in it.
PixelRegion PixelsOf(const GridRegion& region, Index width, Index height);

// The map at the centre of each pixel [height, width], bilinear as ResizeMap; 0 outside of
// PixelsOf(region).
Array<double, 2> MapOnPicture(ArrayView<const double, 2> map, const GridRegion& region, Index width,
                              Index height);

}  // namespace cliplens
