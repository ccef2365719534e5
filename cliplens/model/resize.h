// Pillow's resize, equal to it byte for byte, of a whole picture or of a part of the result.
//
//   Image small = Resize(picture, 224, 224, Interpolation::kBicubic);
//
// A picture is resized in its own mode, antialiased and in fixed point, as Pillow 13.0 does.
#pragma once

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"

namespace cliplens {

enum class Interpolation { kBicubic, kBilinear };

// Which pass of a resize comes first. The result of the first is rounded, so the order shows in the
// last bit of some pixels.
enum class PassOrder {
  kPillow13,  // vertical first if the picture loses more than twice as many rows as columns
  kPillow12,  // horizontal first, as up to Pillow 12
};

// Pixels [begin, end) of an axis, and a rectangle of them.
struct PixelRange {
  Index begin = 0, end = 0;
  Index size() const { return end - begin; }
};
struct PixelRegion {
  PixelRange x, y;
};

// Pillow's Image.resize((width, height), resample) in the picture's own mode: palette and bilevel
// pictures take the nearest pixel, alpha is multiplied in before and divided out after.
// Throws Error(kInvalidArgument) for a size below 1 or a malformed picture, Error(kExhausted) for
// a result above kMaxPixels or filters above 2^24 weights (a side reduced some 19,000 times).
Image Resize(const Image& image, Index width, Index height, Interpolation interpolation,
             PassOrder order = PassOrder::kPillow13);

// The part of a picture resized to width x height. Only this part is computed, so a 1 x 5000
// picture costs no more than another.
struct ResizedPart {
  Index width = 0, height = 0;
  PixelRegion part;  // within width x height
  Interpolation interpolation = Interpolation::kBicubic;
  PassOrder pass_order = PassOrder::kPillow13;
};
// The picture must be one that CheckImage accepts. Throws Error(kExhausted) as Resize.
Image ResizePart(const Image& image, const ResizedPart& wanted);

}  // namespace cliplens
