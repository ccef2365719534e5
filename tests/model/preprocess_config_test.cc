#include "cliplens/model/preprocess_config.h"

#include <string>
#include <tuple>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

PreprocessConfig Parse(const Json& file) { return ParseHuggingFacePreprocessor(file, "p.json"); }

TEST(PreprocessConfigTest, DefaultsAreTransformers) {
  const PreprocessConfig config = Parse(Json::object());
  EXPECT_EQ(config.rule, PreprocessRule::kHuggingFace);
  EXPECT_EQ(config.resize_mode, ResizeMode::kShortest);
  EXPECT_EQ(config.resize_size, 224);
  EXPECT_EQ(config.image_size, 224);
  EXPECT_EQ(config.interpolation, Interpolation::kBicubic);
  EXPECT_EQ(config.rescale_factor, 1.0 / 255.0);
  EXPECT_EQ(config.mean, PreprocessConfig().mean);
  EXPECT_EQ(config.std, PreprocessConfig().std);
}

TEST(PreprocessConfigTest, SizesHaveManySpellings) {
  for (const Json& size : {Json(96), Json({{"shortest_edge", 96}})}) {
    for (const Json& crop : {Json(80), Json({80, 80}), Json({{"height", 80}, {"width", 80}})}) {
      const PreprocessConfig config = Parse({{"size", size}, {"crop_size", crop}, {"resample", 2}});
      EXPECT_EQ(config.resize_mode, ResizeMode::kShortest);
      EXPECT_EQ(config.resize_size, 96);
      EXPECT_EQ(config.image_size, 80);
      EXPECT_EQ(config.interpolation, Interpolation::kBilinear);
    }
  }
  for (const Json& squash :
       {Json({{"size", {{"height", 64}, {"width", 64}}}, {"do_center_crop", false}}),
        Json({{"size", {64, 64}}, {"do_center_crop", false}}),
        Json({{"size", 64}, {"default_to_square", true}, {"do_center_crop", false}}),
        Json({{"size", {64, 64}}, {"crop_size", 64}})}) {
    const PreprocessConfig config = Parse(squash);
    EXPECT_EQ(config.resize_mode, ResizeMode::kSquash) << DumpJson(squash);
    EXPECT_EQ(config.resize_size, 64);
    EXPECT_EQ(config.image_size, 64);
  }
  const PreprocessConfig cut = Parse({{"do_resize", false}, {"crop_size", 30}});
  EXPECT_EQ(cut.resize_mode, ResizeMode::kNone);
  EXPECT_EQ(cut.image_size, 30);
}

TEST(PreprocessConfigTest, StepsCanBeLeftOut) {
  const PreprocessConfig config = Parse({{"do_rescale", false}, {"do_normalize", false}});
  EXPECT_EQ(config.rescale_factor, 1.0);
  EXPECT_EQ(config.mean, (std::array<float, 3>{0, 0, 0}));
  EXPECT_EQ(config.std, (std::array<float, 3>{1, 1, 1}));
  EXPECT_EQ(Parse({{"image_std", 0.5}}).std, (std::array<float, 3>{0.5f, 0.5f, 0.5f}));
  EXPECT_EQ(Parse({{"rescale_factor", 0.25}}).rescale_factor, 0.25);
}

// transformers' SiglipImageProcessor: the whole picture, and one half as mean and deviation.
TEST(PreprocessConfigTest, SiglipHasOtherDefaults) {
  const PreprocessConfig config = ParseHuggingFacePreprocessor(
      {{"image_processor_type", "SiglipImageProcessor"}, {"size", {{"height", 56}, {"width", 56}}}},
      "preprocessor_config.json");
  EXPECT_EQ(config.resize_mode, ResizeMode::kSquash);
  EXPECT_EQ(config.image_size, 56);
  EXPECT_EQ(config.mean, (std::array<float, 3>{0.5f, 0.5f, 0.5f}));
  EXPECT_EQ(config.std, (std::array<float, 3>{0.5f, 0.5f, 0.5f}));
}

TEST(PreprocessConfigTest, WhatIsNotFollowedIsRefusedByName) {
  const std::vector<std::tuple<Json, ErrorCode, const char*>> cases = {
      {{{"resample", 1}}, ErrorCode::kUnsupported, "'resample' is 1 (Lanczos)"},
      {{{"resample", 0}}, ErrorCode::kUnsupported, "nearest"},
      {{{"resample", 6}}, ErrorCode::kCorruptData, "outside of 0 to 5"},
      {{{"do_convert_rgb", false}}, ErrorCode::kUnsupported, "do_convert_rgb"},
      {{{"do_pad", true}}, ErrorCode::kUnsupported, "do_pad"},
      {{{"do_center_crop", false}}, ErrorCode::kUnsupported, "makes no square"},
      {{{"do_resize", false}, {"do_center_crop", false}}, ErrorCode::kUnsupported, "no square"},
      {{{"size", {{"height", 4}, {"width", 5}}}}, ErrorCode::kUnsupported, "4 by 5"},
      {{{"size", {{"longest_edge", 4}}}}, ErrorCode::kUnsupported, "longest_edge"},
      {{{"size", {{"shortest_edge", 4}, {"longest_edge", 5}}}}, ErrorCode::kUnsupported, "longest"},
      {{{"size", {{"height", 4}}}}, ErrorCode::kUnsupported, "'size' is"},
      {{{"size", {1, 2, 3}}}, ErrorCode::kCorruptData, "a height and a width"},
      {{{"size", 0}}, ErrorCode::kCorruptData, "outside of 1"},
      {{{"size", "224"}}, ErrorCode::kCorruptData, "a whole number"},
      {{{"crop_size", {{"shortest_edge", 4}}}}, ErrorCode::kUnsupported, "crop_size"},
      {{{"image_std", {1, 0, 1}}}, ErrorCode::kCorruptData, "image_std"},
      {{{"image_mean", {1, 2}}}, ErrorCode::kCorruptData, "image_mean"},
      {{{"image_processor_type", "BlipImageProcessor"}}, ErrorCode::kUnsupported, "Blip"},
      {{{"feature_extractor_type", "ViTFeatureExtractor"}}, ErrorCode::kUnsupported, "ViTFeature"},
      {{{"rotate", 90}}, ErrorCode::kUnsupported, "'rotate'"},
      {Json::array(), ErrorCode::kCorruptData, "an object"},
  };
  for (const auto& [file, code, words] : cases) {
    SCOPED_TRACE(DumpJson(file));
    ExpectError(code, words, [&, &json = file] { Parse(json); });
  }
}

}  // namespace
}  // namespace cliplens
