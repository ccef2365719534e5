// Pillow's resize, or torchvision's of tensors, equal to it byte for byte, of a whole picture or of
// a part of the result.
//
//   Image small = Resize(picture, 224, 224, Interpolation::kBicubic);
//
// A picture is resized in its own mode, antialiased and in fixed point, as Pillow 13.0 does unless
// another backend is named.
#pragma once

#include <string_view>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"

namespace cliplens {

enum class Interpolation { kBicubic, kBilinear };

// Whose arithmetic a resize follows. The result of the first pass is rounded, so the order of the
// passes shows in the last bit of some pixels, as does the rounding of the weights.
enum class ResizeBackend {
  kPillow,       // Pillow 13: vertical first if a picture loses more than twice as many rows as
                 // columns, weights of 22 bits
  kPillow12,     // horizontal first, as up to Pillow 12
  kTorchvision,  // of uint8 tensors with antialiasing (torchvision 0.29): horizontal first, weights
                 // of 15 bits
};
const char* NameOf(ResizeBackend backend);  // "pillow", "pillow12", "torchvision"
// Of "pillow" and "torchvision". Throws Error(kInvalidArgument) for another name.
ResizeBackend ParseResizeBackend(std::string_view name);

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
             ResizeBackend backend = ResizeBackend::kPillow);

// The part of a picture resized to width x height. Only this part is computed, so a 1 x 5000
// picture costs no more than another.
struct ResizedPart {
  Index width = 0, height = 0;
  PixelRegion part;  // within width x height
  Interpolation interpolation = Interpolation::kBicubic;
  ResizeBackend backend = ResizeBackend::kPillow;
};
// The picture must be one that CheckImage accepts. Throws Error(kExhausted) as Resize.
Image ResizePart(const Image& image, const ResizedPart& wanted);

}  // namespace cliplens
