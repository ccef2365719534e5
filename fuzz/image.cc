// Pictures: decoding, and what the model sees of them.
#include "cliplens/io/image.h"

#include "fuzz/fuzz.h"

#include "cliplens/model/preprocess.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(image) {
  // Large pictures are allowed and slow; the tests of hostile files are about them.
  constexpr Index kLargest = Index{1} << 20;
  fuzz::Guard([&] {
    CheckImage(DecodeImage(input, "x", {.max_pixels = kLargest, .exif_orientation = true}));
  });
  fuzz::Guard([&] {
    const Image image = DecodeImage(input, "x", {.max_pixels = kLargest});
    CheckImage(image);
    (void)ConvertToRgb(image);
    (void)ConvertToRgbOnWhite(image);
    // The settings follow from the picture's size, so that the file stays a file.
    PreprocessConfig config;
    config.image_size = 1 + (image.width * 7 + image.height) % 40;
    config.interpolation =
        image.width % 2 == 0 ? Interpolation::kBicubic : Interpolation::kBilinear;
    config.resize_mode = static_cast<ResizeMode>(image.height % 3);
    config.fill_color = {10, 20, 30};
    if (image.width % 5 == 0) {
      config.rule = PreprocessRule::kHuggingFace;
      config.resize_size = config.image_size + image.height % 7;
    }
    (void)Preprocess(image, config);
  });
}
