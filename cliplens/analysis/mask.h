// Masks of pictures: what is object, as the model's patches see it.
//
//   const MaskPixels pixels = ReadMaskPixels(DecodeImage(bytes, name), /*ignore=*/{}, name);
//   const MaskPixels on_input = MaskOnInput(pixels, model.config(), MapGeometry::kAligned);
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"
#include "cliplens/model/config.h"

namespace cliplens {

// What the model sees of the picture, and what of the mask it is held against.
enum class MapGeometry {
  kAligned,    // the mask is resized and cut as the model does it with pictures
  kSquash,     // picture and mask are both made square: all of them is seen, out of proportion
  kReference,  // P1's: the picture is resized and cut, the mask made square; they do not lie on
               // each other unless the picture is square
};
const char* NameOf(MapGeometry geometry);  // "aligned", "squash", "reference"

// Of a mask's pixel: 0 background, 1 object, −1 not counted.
using MaskPixels = Array<std::int8_t, 2>;  // [height, width]

// 0 is background, `ignore` not counted, every other value (of any channel) object. `name` stands
// in messages. Throws Error(kUnsupported) when `ignore` is set and the mask has other pixels than
// one byte each.
MaskPixels ReadMaskPixels(const Image& mask, std::optional<int> ignore, const std::string& name);

// The mask under each pixel of the model's patches [grid · patch, grid · patch], the nearest pixel
// as Pillow takes it; what lies beside the picture is not counted.
MaskPixels MaskOnInput(const MaskPixels& mask, const ModelConfig& config, MapGeometry geometry);

// The picture made square instead of cut: what kSquash and kReference resize by.
PreprocessConfig Squashed(PreprocessConfig config);

}  // namespace cliplens
