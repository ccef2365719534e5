// From a picture to the tensor that CLIP reads: resize, centre crop, RGB, scale, normalise.
//
//   const PreprocessConfig config;   // 224, bicubic, shortest side, OpenAI's mean and deviation
//   const Array<float, 3> x = Preprocess(picture, config);
//
// By open_clip's rule the resize works on the picture in its own mode (Pillow, antialiased, fixed
// point) and only then is it cropped and made RGB; by that of Hugging Face's transformers the
// picture is made RGB first. Pixels equal Pillow's byte for byte; the floats equal those of
// torchvision and of transformers' CLIPImageProcessorPil bit for bit. Pillow 13.0, torchvision 0.29
// and transformers 5.23 are the yardstick.
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
  kNone,      // the picture keeps its size and the middle is cut out
};

// Whose order of steps is followed where the two differ.
enum class PreprocessRule {
  // Resized and cut in the picture's own mode, alpha dropped at the end; the middle rounds halves
  // to even; (v / 255 - mean) / std in float32.
  kOpenClip,
  // Laid on white where it is transparent and made RGB, then resized; the middle rounds down, and a
  // picture smaller than the square is framed in black; v * rescale_factor is a float64 product,
  // rounded to float32.
  kHuggingFace,
};

// Which pass of a resize comes first. The result of the first is rounded, so the order shows in the
// last bit of some pixels.
enum class PassOrder {
  kPillow13,  // vertical first where the picture loses more than twice as many rows as columns
  kPillow12,  // horizontal first, as up to Pillow 12
};

struct PreprocessConfig {
  PreprocessRule rule = PreprocessRule::kOpenClip;
  Index image_size = 224;  // S: side of the square that the model reads
  // kHuggingFace: what the resize makes of the shorter side (kShortest) or of both (kSquash) before
  // the square is cut out; 0 stands for S.
  Index resize_size = 0;
  double rescale_factor = 1.0 / 255.0;  // kHuggingFace
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

// Where the square that the model reads lies: the picture is made `width` x `height`, and the
// square of S x S begins at (left, top) of that. Negative where the square frames it.
struct InputPlacement {
  Index width = 0, height = 0;
  Index left = 0, top = 0;
};
// For a picture of width x height. Throws Error(kInvalidArgument) for a side below 1, otherwise as
// ResizeAndCrop.
InputPlacement PlacementOf(Index width, Index height, const PreprocessConfig& config);

// The S x S RGB picture that the model sees. Only what the crop keeps is computed, so a 1 x 5000
// picture costs no more than another. kLongest gives a side that would round to 0 one pixel (the
// reference refuses such a picture). Throws as Resize, and Error(kInvalidArgument) for S below 1
// or above 16,384.
Image ResizeAndCrop(const Image& image, const PreprocessConfig& config);

// [3, S, S] float32: (pixel / 255 - mean) / std, or pixel * rescale_factor for pixel / 255
// (PreprocessRule). Throws as ResizeAndCrop, and
// Error(kInvalidArgument) for a std of 0.
Array<float, 3> Preprocess(const Image& image, const PreprocessConfig& config);

}  // namespace cliplens
