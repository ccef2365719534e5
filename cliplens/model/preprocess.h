// From a picture to the tensor that CLIP reads: resize, centre crop, RGB, scale, normalise.
//
// The order is open_clip's: the resize works on the picture in its own mode (Pillow, antialiased,
// fixed point) and only then is it cropped and made RGB. Pixels equal Pillow's byte for byte.
#pragma once

#include <array>
#include <string>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"

namespace cliplens {

enum class Interpolation { kBicubic, kBilinear };
enum class ResizeMode { kShortest, kSquash, kLongest };

struct PreprocessConfig {
  Index image_size = 224;  // S: side of the square that the model reads
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};
  Interpolation interpolation = Interpolation::kBicubic;
  ResizeMode resize_mode = ResizeMode::kShortest;
  std::array<std::uint8_t, 3> fill_color = {0, 0, 0};  // kLongest: colour of the border
};

// Pillow's Image.resize((width, height), resample) in the picture's own mode.
Image Resize(const Image& image, Index width, Index height, Interpolation interpolation);

// The S x S RGB picture that the model sees.
Image ResizeAndCrop(const Image& image, const PreprocessConfig& config);

// [3, S, S] float32: (pixel / 255 - mean) / std.
Array<float, 3> Preprocess(const Image& image, const PreprocessConfig& config);

}  // namespace cliplens
