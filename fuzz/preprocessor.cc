// The settings of Hugging Face's image processor, and what they make of a picture.
#include "fuzz/fuzz.h"

#include "cliplens/model/preprocess_config.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(preprocessor) {
  constexpr Index kLargest = 64;
  fuzz::Guard([&] {
    const PreprocessConfig config =
        ParseHuggingFacePreprocessor(ParseJson(fuzz::AsText(input), "x"), "preprocessor_config");
    (void)DumpJson(ToJson(config));
    if (config.image_size > kLargest || config.resize_size > kLargest) return;
    Image image;
    image.mode = PixelMode::kRgba;
    image.width = 5;
    image.height = 3;
    image.pixels.assign(60, 200);
    const Array<float, 3> pixels = Preprocess(image, config);
    if (pixels.size() != 3 * config.image_size * config.image_size) __builtin_trap();
  });
}
