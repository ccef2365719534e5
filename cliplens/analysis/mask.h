// Masks of objects in pictures, brought to the model's input.
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

// How the picture and the mask are brought to the model's input.
enum class MapGeometry {
  kAligned,    // the mask is resized and cut as the picture is
  kSquash,     // picture and mask are both made square: nothing is cut, proportions change
  kReference,  // as the paper's code: the picture is resized and cut, the mask made square; the two
               // do not match unless the picture is square
};
const char* NameOf(MapGeometry geometry);  // "aligned", "squash", "reference"

// A mask's pixels: 0 background, 1 object, −1 not counted.
using MaskPixels = Array<std::int8_t, 2>;  // [height, width]

// Reads 0 as background, `ignore` as not counted and any other value (of any channel) as object.
// `name` stands in messages. Throws Error(kUnsupported) when `ignore` is set and the mask has other
// pixels than one byte each.
MaskPixels ReadMaskPixels(const Image& mask, std::optional<int> ignore, const std::string& name);

// The mask under each pixel of the model's patches [grid · patch, grid · patch]: the nearest pixel,
// as Pillow takes it. Pixels beside the picture are not counted.
MaskPixels MaskOnInput(const MaskPixels& mask, const ModelConfig& config, MapGeometry geometry);

// The same settings, but a picture is made square instead of cut, for kSquash and kReference.
PreprocessConfig Squashed(PreprocessConfig config);

}  // namespace cliplens
