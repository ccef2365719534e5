// From a picture to the tensor that CLIP reads: resize, centre crop, RGB, scale, normalise.
//
//   const PreprocessConfig config;   // 224, bicubic, shortest side, OpenAI's mean and deviation
//   const Array<float, 3> x = Preprocess(picture, config);
//
// open_clip's rule resizes the picture in its own mode, then crops it and converts it to RGB; the
// rule of Hugging Face's transformers converts it to RGB first. Pixels equal Pillow's byte for
// byte; the floats equal those of torchvision and of transformers' CLIPImageProcessorPil bit for
// bit (Pillow 13.0, torchvision 0.29 and transformers 5.23).
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"
#include "cliplens/model/resize.h"

namespace cliplens {

enum class ResizeMode {
  kShortest,  // the shorter side becomes S, the longer one keeps the ratio, the middle is cut out
  kSquash,    // both sides become S
  kLongest,   // the longer side becomes S, the rest of the square is filled
  kNone,      // the picture keeps its size and the middle is cut out
};

// Whose steps are followed where the two differ.
enum class PreprocessRule {
  // The picture is resized and cropped in its own mode; alpha is dropped at the end. The middle
  // rounds halves to even. (v / 255 - mean) / std is computed in float32.
  kOpenClip,
  // Transparent parts are laid on white, then the picture is converted to RGB and resized. The
  // middle rounds down, and a picture smaller than the square gets a black frame. v *
  // rescale_factor is a float64 product, rounded to float32.
  kHuggingFace,
};

struct PreprocessConfig {
  PreprocessRule rule = PreprocessRule::kOpenClip;
  Index image_size = 224;  // S: side of the square that the model reads
  // kHuggingFace: the length to which the shorter side (kShortest) or both sides (kSquash) are
  // resized before the square is cut out; 0 stands for S.
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
  // kTorchvision: with kHuggingFace, the steps of transformers' torchvision backend.
  ResizeBackend backend = ResizeBackend::kPillow;

  bool operator==(const PreprocessConfig&) const = default;
};

// How pictures are to be read where it is not as the model says.
struct PictureChoice {
  Index image_size = 0;  // pixels along a side; 0: the model's own
  ResizeBackend backend = ResizeBackend::kPillow;
};

// Where the square that the model reads lies: the picture is resized to `width` x `height`, and the
// square of S x S begins at (left, top) of the result. These are negative if the square is larger.
struct InputPlacement {
  Index width = 0, height = 0;
  Index left = 0, top = 0;
};
// The placement for a picture of width x height. Throws Error(kInvalidArgument) for a side below 1,
// otherwise as ResizeAndCrop.
InputPlacement PlacementOf(Index width, Index height, const PreprocessConfig& config);

// For DecodeOptions::check_size: refuses from its header a picture that cannot be preprocessed,
// however well it could be decoded. Throws as PlacementOf.
std::function<void(Index width, Index height)> SizeCheckFor(const PreprocessConfig& config);

// The S x S RGB picture that the model sees. Only what the crop keeps is computed, so a 1 x 5000
// picture costs no more than another. With kLongest a side that would round to 0 gets one pixel
// (the reference refuses such a picture). Throws as Resize, and Error(kInvalidArgument) for S below
// 1 or above 16,384.
Image ResizeAndCrop(const Image& image, const PreprocessConfig& config);

// [3, S, S] float32: (pixel / 255 - mean) / std, with pixel * rescale_factor instead of pixel / 255
// for kHuggingFace, and (pixel - mean / rescale_factor) / (std / rescale_factor) for its
// torchvision backend. Throws as ResizeAndCrop, and Error(kInvalidArgument) for a std of 0.
Array<float, 3> Preprocess(const Image& image, const PreprocessConfig& config);

}  // namespace cliplens
