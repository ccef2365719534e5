// From a picture to the tensor that CLIP reads: resize, centre crop, RGB, scale, normalise.
//
//   PreprocessConfig config;                       // 224, bicubic, shortest side, OpenAI's
//   constants Array<float, 3> x = Preprocess(picture, config);
//
// The order is open_clip's: the resize works on the picture in its own mode (Pillow, antialiased,
// fixed point) and only then is it cropped and made RGB. Pixels equal Pillow's byte for byte and
// the floats equal torchvision's bit for bit; Pillow 13.0 and torchvision 0.29 are the yardstick.
#pragma once

#include <array>
#include <cstdint>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"

namespace cliplens {

enum class Interpolation { kBicubic, kBilinear };

enum class ResizeMode {
  kShortest,  // the shorter side becomes S, the longer one keeps the ratio, the middle is cut out
  kSquash,    // both sides become S
  kLongest,   // the longer side becomes S, the rest of the square is filled
};

// Which pass of a resize comes first. The result of the first is rounded, so the order shows in the
// last bit of some pixels.
enum class PassOrder {
  kPillow13,  // vertical first where the picture loses more than twice as many rows as columns
  kPillow12,  // horizontal first, as up to Pillow 12
};

struct PreprocessConfig {
  Index image_size = 224;  // S: side of the square that the model reads
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};
  Interpolation interpolation = Interpolation::kBicubic;
  ResizeMode resize_mode = ResizeMode::kShortest;
  // kLongest: colour of the border. Three equal numbers stand for the reference's one number, which
  // fills every channel of the picture's own mode: 0 is black in RGB, but white in CMYK, and in a
  // palette picture it is the colour of index 0. Three different numbers are always the RGB colour.
  std::array<std::uint8_t, 3> fill_color = {0, 0, 0};
  PassOrder pass_order = PassOrder::kPillow13;
};

// Pillow's Image.resize((width, height), resample) in the picture's own mode: palette and bilevel
// pictures take the nearest pixel, alpha is multiplied in before and divided out after.
// Throws Error(kInvalidArgument) for a size below 1 or a malformed picture, Error(kExhausted) for
// a result above kMaxPixels or filters above 2^24 weights (a side reduced some 19,000 times).
Image Resize(const Image& image, Index width, Index height, Interpolation interpolation,
             PassOrder order = PassOrder::kPillow13);

// The S x S RGB picture that the model sees. Only what the crop keeps is computed, so a 1 x 5000
// picture costs no more than another. kLongest gives a side that would round to 0 one pixel (the
// reference refuses such a picture). Throws as Resize, and Error(kInvalidArgument) for S below 1
// or above 16,384.
Image ResizeAndCrop(const Image& image, const PreprocessConfig& config);

// [3, S, S] float32: (pixel / 255 - mean) / std. Throws as ResizeAndCrop, and
// Error(kInvalidArgument) for a std of 0.
Array<float, 3> Preprocess(const Image& image, const PreprocessConfig& config);

}  // namespace cliplens
