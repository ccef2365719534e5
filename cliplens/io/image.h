// Decoding of pictures (JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000, HEIC) and encoding (PNG,
// JPEG, WebP).
//
//   Image picture = DecodeImage(bytes, "cat.jpg");  // in the mode of the file, as Pillow opens it
//   Image rgb = ConvertToRgb(picture);              // as Pillow's convert("RGB")
//   std::vector<std::uint8_t> file = EncodePng(rgb);
//
// Pixels equal Pillow's byte for byte. As in CLIP's reference preprocessing, the EXIF orientation
// is ignored and colour profiles and gamma are not applied. Only the first picture of an animation
// is read. Files are hostile: sizes are checked before memory is allocated. Several threads may
// call all functions at once.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// Pillow's modes. As in the reference, a picture is resized in its own mode and then converted to
// RGB.
enum class PixelMode {
  kGray,       // L
  kGrayAlpha,  // LA
  kRgb,        // RGB
  kRgba,       // RGBA
  kCmyk,       // CMYK, 255 is full ink (the decoder inverts Adobe's inverted files)
  kPalette,    // P
  kBilevel,    // 1
  kGray16,     // I;16
  kInt32,      // I
  kFloat32,    // F
  kYcbcr,      // YCbCr
  kLab,        // LAB: a and b have 128 added
};

// Pillow's name of the mode.
const char* NameOf(PixelMode mode);

// Bytes that one pixel takes in Image::pixels.
Index BytesPerPixel(PixelMode mode);

class DecodeMemory;  // cliplens/io/decode_memory.h

struct Image {
  PixelMode mode = PixelMode::kRgb;
  Index width = 0;
  Index height = 0;
  // kGray16, kInt32, kFloat32: two or four bytes a sample in the machine's order; otherwise one
  // byte a sample. Rows from the top, channels last. Bilevel pixels are 0 or 255, palette pixels
  // indices.
  std::vector<std::uint8_t> pixels;
  // kPalette: 256 x RGBA. Entries that the file does not define are opaque black.
  std::vector<std::uint8_t> palette;
  // A colour that the file declares transparent (PNG's tRNS without a palette). As in Pillow, it is
  // compared with pixels after ConvertToRgb. Only ConvertToRgbOnWhite uses it.
  std::optional<std::array<std::uint8_t, 3>> clear_color;
  // How the picture is to be turned, as EXIF numbers it: 1 to 8, 1 for a picture that is upright.
  int orientation = 1;
  // The picture's share of the memory for decoding, if DecodeOptions::keep_memory asked for it.
  std::shared_ptr<const DecodeMemory> memory = {};
};

// A picture whose samples are all 0.
Image NewImage(PixelMode mode, Index width, Index height);

// The most pixels that a picture may have: twice Pillow's bound for "decompression bombs".
inline constexpr Index kMaxPixels = 178'956'970;

struct DecodeOptions {
  Index max_pixels = kMaxPixels;  // kMaxPixels at most
  // Turns the picture upright by its EXIF orientation, as Pillow's exif_transpose.
  bool exif_orientation = false;
  // Called with the size that the header claims (of the upright picture), before memory is taken;
  // may throw.
  std::function<void(Index width, Index height)> check_size = {};
  // The picture keeps its share of the memory for decoding as long as it lives. For loops in which
  // each thread has one picture at a time.
  bool keep_memory = false;
};

// `name` stands in the messages. Throws Error(kCorruptData) for a file that is cut off or broken,
// Error(kUnsupported) for one of another format, Error(kExhausted) for a header that claims more
// than `max_pixels` or more memory than kMaxDecodeMemory, before memory is allocated. Waits while
// other threads' pictures take up the memory for decoding.
Image DecodeImage(std::span<const std::uint8_t> bytes, const std::string& name,
                  const DecodeOptions& options = {});

// The orientation that a JPEG, PNG or WebP tells, 1 to 8, without decoding it; 1 for all others.
int ExifOrientationOf(std::span<const std::uint8_t> bytes);

// The picture turned upright: as Pillow's exif_transpose. Its orientation is 1.
Image Upright(Image image);

// Samples of more than 8 bits are clipped to 0 ... 255, not scaled, and alpha is dropped, both as
// Pillow does.
// Throws Error(kInvalidArgument) if the sizes of `pixels` or `palette` do not fit the mode.
Image ConvertToRgb(const Image& image);

// The same, but transparent parts (alpha, palette entries, clear_color) are first laid on white, as
// Pillow's convert("RGBA") and alpha_composite do. transformers 5 reads pictures this way. Throws
// as ConvertToRgb.
Image ConvertToRgbOnWhite(const Image& image);

// Throws Error(kInvalidArgument) unless `pixels` and `palette` have the sizes that mode, width and
// height ask for and the picture has at least one pixel.
void CheckImage(const Image& image);

// The bytes of a file with the picture. PNG keeps kGray, kGrayAlpha, kRgb and kRgba, WebP keeps
// kRgba, JPEG keeps kGray; other modes are written as RGB. Quality is libjpeg's and libwebp's
// (0-100). Throws Error(kInvalidArgument) as CheckImage, Error(kUnsupported) for a side that the
// format cannot hold (JPEG 65,500, WebP 16,383, PNG 1,000,000).
std::vector<std::uint8_t> EncodePng(const Image& image);
std::vector<std::uint8_t> EncodeJpeg(const Image& image, int quality);
std::vector<std::uint8_t> EncodeWebp(const Image& image, int quality);

}  // namespace cliplens
