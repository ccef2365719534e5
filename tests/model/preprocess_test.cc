#include "cliplens/model/preprocess.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/pixel_fixture.h"
#include <gtest/gtest.h>

#include "cliplens/model/preprocess_config.h"

namespace cliplens {
namespace {

using Bytes = std::vector<std::uint8_t>;

Image RandomImage(PixelMode mode, Index width, Index height, unsigned seed) {
  std::mt19937 random(seed);
  Image image;
  image.mode = mode;
  image.width = width;
  image.height = height;
  image.pixels.resize(ToSize(width * height * BytesPerPixel(mode)));
  for (std::uint8_t& v : image.pixels) v = static_cast<std::uint8_t>(random());
  if (mode == PixelMode::kBilevel) {
    for (std::uint8_t& v : image.pixels) v = v % 2 == 0 ? 0 : 255;
  }
  if (mode == PixelMode::kPalette) {
    image.palette.resize(1024);
    for (std::uint8_t& v : image.palette) v = static_cast<std::uint8_t>(random());
  }
  return image;
}

Image Filled(PixelMode mode, Index width, Index height, std::uint8_t value) {
  Image image = RandomImage(mode, width, height, 1);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  return image;
}

// One axis of a resize, straight from the definition: weights in float64, rounded to 22 bits after
// the point, whole sums. `at(i)` reads the input, out gets `out_size` bytes.
template <typename At>
void RefResample(Index in_size, Index out_size, Interpolation interpolation, const At& at,
                 std::uint8_t* out, Index step) {
  const bool bicubic = interpolation == Interpolation::kBicubic;
  const auto kernel = [&](double x) {
    x = std::abs(x);
    if (!bicubic) return x < 1.0 ? 1.0 - x : 0.0;
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0.0;
  };
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double stretch = std::max(scale, 1.0);
  const double support = (bicubic ? 2.0 : 1.0) * stretch;
  for (Index o = 0; o < out_size; ++o) {
    const double center = (static_cast<double>(o) + 0.5) * scale;
    const Index first = std::max<Index>(0, static_cast<Index>(center - support + 0.5));
    const Index last = std::min(in_size, static_cast<Index>(center + support + 0.5));
    std::vector<double> weights;
    double total = 0;
    for (Index i = first; i < last; ++i) {
      weights.push_back(kernel((static_cast<double>(i) - center + 0.5) * (1.0 / stretch)));
      total += weights.back();
    }
    std::int64_t sum = std::int64_t{1} << 21;
    for (Index i = first; i < last; ++i) {
      const double w = weights[ToSize(i - first)] / total * 4194304.0;
      sum += static_cast<std::int64_t>(w + (w < 0 ? -0.5 : 0.5)) * at(i);
    }
    out[o * step] = static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> 22, 0, 255));
  }
}

Image RefAcross(const Image& in, Index width, Interpolation interpolation) {
  if (width == in.width) return in;
  const Index channels = BytesPerPixel(in.mode);
  Image out = Filled(in.mode, width, in.height, 0);
  for (Index y = 0; y < in.height; ++y) {
    for (Index c = 0; c < channels; ++c) {
      RefResample(
          in.width, width, interpolation,
          [&](Index x) { return At(in.pixels, (y * in.width + x) * channels + c); },
          out.pixels.data() + y * width * channels + c, channels);
    }
  }
  return out;
}

Image RefDown(const Image& in, Index height, Interpolation interpolation) {
  if (height == in.height) return in;
  const Index channels = BytesPerPixel(in.mode);
  Image out = Filled(in.mode, in.width, height, 0);
  for (Index x = 0; x < in.width * channels; ++x) {
    RefResample(
        in.height, height, interpolation,
        [&](Index y) { return At(in.pixels, y * in.width * channels + x); }, out.pixels.data() + x,
        in.width * channels);
  }
  return out;
}

Image CropOf(const Image& image, Index left, Index top, Index size) {
  const Index pixel = BytesPerPixel(image.mode);
  Image out = Filled(image.mode, size, size, 0);
  out.palette = image.palette;
  for (Index y = 0; y < size; ++y) {
    std::copy_n(image.pixels.data() + ((top + y) * image.width + left) * pixel, size * pixel,
                out.pixels.data() + y * size * pixel);
  }
  return out;
}

PreprocessConfig ConfigNamed(const std::string& name) {
  PreprocessConfig config;
  config.image_size = std::stol(name);
  if (name == "24-bilinear") config.interpolation = Interpolation::kBilinear;
  if (name == "20-squash") config.resize_mode = ResizeMode::kSquash;
  if (name == "28-longest") {
    config.resize_mode = ResizeMode::kLongest;
    config.fill_color = {127, 127, 127};
  }
  return config;
}

TEST(PreprocessTest, TensorsEqualOpenClips) {
  std::size_t count = 0;
  for (const Json& entry : PixelExpectations()["pictures"]) {
    const std::string file = entry["file"];
    const Image image = DecodeImage(ReadPixelFile(file), file);
    for (const auto& [name, crc] : entry["tensors"].items()) {
      SCOPED_TRACE(file + " at " + name);
      const Array<float, 3> x = Preprocess(image, ConfigNamed(name));
      if (crc.is_null()) continue;  // the reference refuses a side that rounds to 0
      std::vector<std::uint8_t> bytes(ToSize(x.size()) * sizeof(float));
      std::memcpy(bytes.data(), x.data(), bytes.size());
      EXPECT_EQ(crc, Crc32(bytes));
      ++count;
    }
  }
  EXPECT_GT(count, 200u);
}

TEST(PreprocessTest, TensorsEqualTransformers) {
  const Json& settings = PixelExpectations()["hugging_face"];
  std::size_t count = 0;
  for (const Json& entry : PixelExpectations()["pictures"]) {
    const std::string file = entry["file"];
    const Image image = DecodeImage(ReadPixelFile(file), file);
    for (const auto& [name, crc] : entry["hugging_face"].items()) {
      SCOPED_TRACE(file + " at " + name);
      const Array<float, 3> x =
          Preprocess(image, ParseHuggingFacePreprocessor(settings[name], name));
      std::vector<std::uint8_t> bytes(ToSize(x.size()) * sizeof(float));
      std::memcpy(bytes.data(), x.data(), bytes.size());
      EXPECT_EQ(crc, Crc32(bytes));
      ++count;
    }
  }
  EXPECT_GT(count, 250u);
}

TEST(PreprocessTest, RulesHaveTheirOwnResizeModes) {
  const Image image = Filled(PixelMode::kRgb, 4, 4, 1);
  PreprocessConfig config;
  config.resize_mode = ResizeMode::kNone;
  ExpectError(ErrorCode::kInvalidArgument, "'none'", [&] { Preprocess(image, config); });
  config.rule = PreprocessRule::kHuggingFace;
  config.resize_mode = ResizeMode::kLongest;
  ExpectError(ErrorCode::kInvalidArgument, "'longest'", [&] { Preprocess(image, config); });
  config.resize_mode = ResizeMode::kShortest;
  config.resize_size = -1;
  ExpectError(ErrorCode::kInvalidArgument, "resize size", [&] { Preprocess(image, config); });
}

TEST(PreprocessTest, BothPassOrdersEqualPillows) {
  const Image image = DecodeImage(ReadPixelFile("jpeg-420-63x129.jpg"), "x");
  const Json& orders = PixelExpectations()["orders"];
  EXPECT_EQ(orders["pillow13"], Crc32(Resize(image, 40, 40, Interpolation::kBicubic).pixels));
  EXPECT_EQ(orders["pillow12"],
            Crc32(Resize(image, 40, 40, Interpolation::kBicubic, ResizeBackend::kPillow12).pixels));
}

TEST(PreprocessTest, ResizeEqualsTheDefinition) {
  const struct {
    Index width, height, new_width, new_height;
  } sizes[] = {{5, 4, 9, 11},    {40, 30, 7, 30},  {40, 30, 40, 9},    {1, 1, 8, 8},
               {8, 8, 1, 1},     {17, 300, 9, 5},  {3000, 3, 3, 2},    {20000, 2, 5, 2},
               {2, 20000, 2, 5}, {33, 34, 32, 33}, {100, 100, 99, 101}};
  unsigned seed = 0;
  for (const auto& [width, height, new_width, new_height] : sizes) {
    for (const PixelMode mode : {PixelMode::kGray, PixelMode::kRgb, PixelMode::kCmyk}) {
      for (const Interpolation how : {Interpolation::kBicubic, Interpolation::kBilinear}) {
        SCOPED_TRACE(testing::Message() << width << " x " << height << " to " << new_width << " x "
                                        << new_height << " " << NameOf(mode));
        const Image image = RandomImage(mode, width, height, ++seed);
        const Image plain = RefDown(RefAcross(image, new_width, how), new_height, how);
        const Image got = Resize(image, new_width, new_height, how, ResizeBackend::kPillow12);
        EXPECT_EQ(got.width, new_width);
        EXPECT_EQ(got.height, new_height);
        EXPECT_EQ(got.pixels, plain.pixels);
        const bool down_first = height - new_height > std::max<Index>(0, 2 * (width - new_width));
        const Image plain13 =
            down_first ? RefAcross(RefDown(image, new_height, how), new_width, how) : plain;
        EXPECT_EQ(Resize(image, new_width, new_height, how).pixels, plain13.pixels);
      }
    }
  }
}

TEST(PreprocessTest, TheCropIsAPartOfTheResize) {
  for (const PixelMode mode :
       {PixelMode::kGray, PixelMode::kGrayAlpha, PixelMode::kRgb, PixelMode::kRgba,
        PixelMode::kCmyk, PixelMode::kPalette, PixelMode::kBilevel, PixelMode::kGray16}) {
    SCOPED_TRACE(NameOf(mode));
    PreprocessConfig config;
    config.image_size = 20;
    // 97 x 30: the longer side becomes int(20 * 97 / 30) = 64, the crop begins at 22.
    const Image wide = RandomImage(mode, 97, 30, 3);
    EXPECT_EQ(ResizeAndCrop(wide, config).pixels,
              ConvertToRgb(CropOf(Resize(wide, 64, 20, config.interpolation), 22, 0, 20)).pixels);
    // 10 x 25 to 20 x 50; to 20 x 53 the middle lies at 16.5, which rounds to the even 16.
    const Image tall = RandomImage(mode, 10, 25, 4);
    EXPECT_EQ(ResizeAndCrop(tall, config).pixels,
              ConvertToRgb(CropOf(Resize(tall, 20, 50, config.interpolation), 0, 15, 20)).pixels);
    const Image half = RandomImage(mode, 200, 531, 5);
    EXPECT_EQ(ResizeAndCrop(half, config).pixels,
              ConvertToRgb(CropOf(Resize(half, 20, 53, config.interpolation), 0, 16, 20)).pixels);
  }
}

TEST(PreprocessTest, FlatPicturesStayFlat) {
  for (const PixelMode mode : {PixelMode::kGray, PixelMode::kRgb, PixelMode::kCmyk}) {
    for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{93}, std::uint8_t{255}}) {
      const Image got = Resize(Filled(mode, 61, 47, value), 23, 90, Interpolation::kBicubic);
      EXPECT_TRUE(std::all_of(got.pixels.begin(), got.pixels.end(),
                              [&](std::uint8_t v) { return v == value; }));
    }
  }
}

TEST(PreprocessTest, ClearPixelsDoNotShine) {
  // White but clear beside black and solid: the clear half must not brighten the solid one.
  Image image = Filled(PixelMode::kRgba, 40, 40, 255);
  for (Index y = 0; y < 40; ++y) {
    for (Index x = 0; x < 40; ++x) {
      std::uint8_t* pixel = image.pixels.data() + (y * 40 + x) * 4;
      if (x < 20) {
        pixel[3] = 0;
      } else {
        pixel[0] = pixel[1] = pixel[2] = 0;
      }
    }
  }
  const Image got = ConvertToRgb(Resize(image, 10, 10, Interpolation::kBilinear));
  EXPECT_TRUE(
      std::all_of(got.pixels.begin(), got.pixels.end(), [](std::uint8_t v) { return v == 0; }));
}

TEST(PreprocessTest, LongestFillsTheRest) {
  PreprocessConfig config;
  config.image_size = 8;
  config.resize_mode = ResizeMode::kLongest;
  config.fill_color = {10, 20, 30};
  const Image got = ResizeAndCrop(Filled(PixelMode::kGray, 16, 8, 200), config);
  for (Index y = 0; y < 8; ++y) {
    const bool inside = y >= 2 && y < 6;
    const std::uint8_t* pixel = got.pixels.data() + y * 8 * 3;
    EXPECT_EQ(Bytes(pixel, pixel + 3), inside ? Bytes({200, 200, 200}) : Bytes({10, 20, 30})) << y;
  }
  // One number fills every channel of the picture's own mode: 0 in CMYK is white.
  config.fill_color = {0, 0, 0};
  const Image ink = ResizeAndCrop(Filled(PixelMode::kCmyk, 16, 8, 255), config);
  EXPECT_EQ(ink.pixels[0], 255);
  EXPECT_EQ(ink.pixels[8 * 3 * 4], 0);
  // A side that would round to 0 keeps one pixel.
  const Image line = ResizeAndCrop(Filled(PixelMode::kRgb, 5000, 1, 77), config);
  EXPECT_EQ(std::count(line.pixels.begin(), line.pixels.end(), 77), 8 * 3);
}

TEST(PreprocessTest, NormalisesInFloat32) {
  PreprocessConfig config;
  config.image_size = 1;
  Image image = Filled(PixelMode::kRgb, 1, 1, 0);
  image.pixels = {0, 128, 255};
  const Array<float, 3> x = Preprocess(image, config);
  EXPECT_EQ(x.shape(), (Shape<3>{3, 1, 1}));
  EXPECT_EQ(x(0, 0, 0), -config.mean[0] / config.std[0]);
  EXPECT_EQ(x(1, 0, 0), (128.0f / 255.0f - config.mean[1]) / config.std[1]);
  EXPECT_EQ(x(2, 0, 0), (1.0f - config.mean[2]) / config.std[2]);
}

TEST(PreprocessTest, ThinPicturesCostNoMoreThanOthers) {
  PreprocessConfig config;
  const auto begin = std::chrono::steady_clock::now();
  // Whole, the first would be 224 x 13,440,000 pixels.
  for (const auto& [width, height] : {std::pair<Index, Index>{1, 60000}, {60000, 1}, {3, 9000}}) {
    for (const PixelMode mode : {PixelMode::kRgb, PixelMode::kPalette, PixelMode::kGray16}) {
      EXPECT_EQ(ResizeAndCrop(RandomImage(mode, width, height, 9), config).width, 224);
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(PreprocessTest, WhatCannotBeDoneIsRefused) {
  const Image image = Filled(PixelMode::kRgb, 4, 4, 1);
  PreprocessConfig config;
  for (const Index size : {Index{0}, Index{-5}, Index{16385}}) {
    config.image_size = size;
    ExpectError(ErrorCode::kInvalidArgument, "image size", [&] { Preprocess(image, config); });
  }
  config.image_size = 4;
  config.std = {1, 0, 1};
  ExpectError(ErrorCode::kInvalidArgument, "standard deviation of channel 1",
              [&] { Preprocess(image, config); });
  Image broken = image;
  broken.pixels.pop_back();
  config = {};
  ExpectError(ErrorCode::kInvalidArgument, "48 bytes are needed, 47 are there",
              [&] { Preprocess(broken, config); });
  ExpectError(ErrorCode::kInvalidArgument, "both sides must be at least 1",
              [&] { Resize(image, 0, 4, Interpolation::kBicubic); });
  ExpectError(ErrorCode::kExhausted, "the limit is 178956970",
              [&] { Resize(image, 1 << 20, 1 << 20, Interpolation::kBicubic); });
  config.image_size = 16384;
  ExpectError(ErrorCode::kExhausted, "its longer side would become",
              [&] { ResizeAndCrop(Filled(PixelMode::kGray, 1, 200'000, 1), config); });
  config.image_size = 224;
  config.resize_mode = ResizeMode::kSquash;
  ExpectError(ErrorCode::kExhausted, "the limit is 16777216",
              [&] { ResizeAndCrop(Filled(PixelMode::kGray, 20'000'000, 1, 1), config); });
}

}  // namespace
}  // namespace cliplens
