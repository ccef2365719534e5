// Decoding and encoding of pictures: JPEG, PNG, WebP.
//
//   Image picture = DecodeImage(bytes, "cat.jpg");          // in the mode of the file, as Pillow opens it
//   Image rgb = ConvertToRgb(picture);                      // as Pillow's convert("RGB")
//
// Pixels equal Pillow's byte for byte. The EXIF orientation is left alone, as CLIP's reference
// preprocessing does. Files are hostile: sizes are read and bounded before memory is taken.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// Pillow's modes; a picture is resized in its own mode and only then made RGB, as the reference does.
enum class PixelMode { kGray, kGrayAlpha, kRgb, kRgba, kCmyk, kPalette, kBilevel, kGray16 };

struct Image {
  PixelMode mode = PixelMode::kRgb;
  Index width = 0;
  Index height = 0;
  // kGray16: two bytes a sample in the machine's order; otherwise one byte a sample, rows from the
  // top, channels last. Bilevel pixels are 0 or 255, palette pixels indices.
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> palette;  // kPalette: 256 x RGBA
};

// Most pixels that a picture may have (Pillow's own bound for "decompression bombs", doubled, is
// 178,956,970).
inline constexpr Index kMaxPixels = 178'956'970;

// `name` stands in the messages. Throws Error(kCorruptData) for a file that is cut off or broken,
// Error(kUnsupported) for one that is no JPEG, PNG or WebP, Error(kExhausted) above kMaxPixels.
Image DecodeImage(std::span<const std::uint8_t> bytes, const std::string& name);

Image ConvertToRgb(const Image& image);

// RGB pictures [height, width, 3] to files' bytes. Quality is libjpeg's and libwebp's (0-100).
std::vector<std::uint8_t> EncodePng(const Image& rgb);
std::vector<std::uint8_t> EncodeJpeg(const Image& rgb, int quality);
std::vector<std::uint8_t> EncodeWebp(const Image& rgb, int quality);

}  // namespace cliplens
