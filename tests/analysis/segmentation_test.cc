#include "cliplens/analysis/segmentation.h"

#include <cmath>
#include <string>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/token_map.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {
namespace {

using Map = Array<double, 2>;

MaskPixels Mask(Shape<2> shape, std::vector<std::int8_t> values) {
  return {shape, std::move(values)};
}

std::vector<int> Values(const MaskPixels& mask) { return {mask.flat().begin(), mask.flat().end()}; }

Image Gray(Index width, Index height, std::vector<std::uint8_t> pixels) {
  return {.mode = PixelMode::kGray,
          .width = width,
          .height = height,
          .pixels = std::move(pixels),
          .palette = {},
          .clear_color = std::nullopt};
}

// Test 8 of the specification, by hand: map [[0, .2], [.6, 1]], mask [[0, 1], [1, 1]].
TEST(SegmentationTest, FiguresOfOnePictureByHand) {
  const ScaledMap map = ScaleMap(Map({2, 2}, {0, 0.2, 0.6, 1}));
  EXPECT_DOUBLE_EQ(map.threshold, 0.45);
  EXPECT_FALSE(map.empty);
  const PictureSegmentation p = CompareWithMask(map, Mask({2, 2}, {0, 1, 1, 1}));
  EXPECT_EQ(p.counted, 4);
  EXPECT_EQ(p.right, 3);
  EXPECT_EQ(p.intersection, (std::array<Index, 2>{1, 2}));
  EXPECT_EQ(p.union_, (std::array<Index, 2>{2, 3}));
  EXPECT_NEAR(p.average_precision, 0.8541667, 1e-7);
}

// Test 9 of the specification of neurons, by hand: a map of 4 x 4 from -2 to 6, above one half of
// its range where it is above 2.
TEST(SegmentationTest, FiguresOfOnePictureAboveOneHalfByHand) {
  const ScaledMap map =
      ScaleMap(Map({4, 4}, {-2, 0, 2, 6, 0, 2, 4, 6, -2, -2, 2.5, 3, 5, 0, 0, 0}), MapCut::kHalf);
  EXPECT_DOUBLE_EQ(map.threshold, 0.5);
  EXPECT_DOUBLE_EQ(map.values(0, 0), 0);
  EXPECT_DOUBLE_EQ(map.values(0, 2), 0.5);
  EXPECT_DOUBLE_EQ(map.values(0, 3), 1);
  const PictureSegmentation p =
      CompareWithMask(map, Mask({4, 4}, {0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, -1, 0, 0, 0, 1}));
  EXPECT_EQ(p.counted, 15);
  EXPECT_EQ(p.right, 13);
  EXPECT_EQ(p.intersection, (std::array<Index, 2>{9, 4}));
  EXPECT_EQ(p.union_, (std::array<Index, 2>{11, 6}));
  EXPECT_NEAR(p.average_precision, 0.8483710, 1e-6);
}

// A map that is the same everywhere has no range to scale, by either rule.
TEST(SegmentationTest, AConstantMapIsNoNumberDividedByZero) {
  for (const MapCut cut : {MapCut::kMean, MapCut::kHalf}) {
    for (const double value : {-3.0, 0.0, 0.25}) {
      const ScaledMap map = ScaleMap(Map({2, 2}, {value, value, value, value}), cut);
      EXPECT_TRUE(map.empty);
      for (const double v : map.values.flat()) EXPECT_EQ(v, 0);
      const PictureSegmentation p = CompareWithMask(map, Mask({2, 2}, {0, 1, 1, 0}));
      EXPECT_EQ(p.intersection, (std::array<Index, 2>{2, 0}));
      EXPECT_TRUE(std::isfinite(p.average_precision));
    }
  }
}

TEST(SegmentationTest, IgnoredPixelsCountNowhere) {
  const ScaledMap map = ScaleMap(Map({2, 3}, {0, 0.2, 0.9, 0.6, 1, 0}));
  const PictureSegmentation p = CompareWithMask(map, Mask({2, 3}, {0, 1, -1, 1, 1, -1}));
  EXPECT_EQ(p.counted, 4);
  EXPECT_EQ(p.right, 3);
  EXPECT_EQ(p.union_, (std::array<Index, 2>{2, 3}));
  EXPECT_NEAR(p.average_precision, 0.8541667, 1e-7);
}

TEST(SegmentationTest, MapsWithoutAnythingPositiveAreBackground) {
  for (const std::vector<double>& values :
       {std::vector<double>{-1, -2, -3, -0.5}, {0.3, 0.3, 0.3, 0.3}, {0, 0, 0, 0}}) {
    const ScaledMap map = ScaleMap(Map({2, 2}, values));
    EXPECT_TRUE(map.empty);
    const PictureSegmentation p = CompareWithMask(map, Mask({2, 2}, {0, 1, 1, 0}));
    EXPECT_EQ(p.right, 2);
    EXPECT_EQ(p.intersection, (std::array<Index, 2>{2, 0}));
    EXPECT_TRUE(p.empty);
    EXPECT_FALSE(std::isnan(p.average_precision));
  }
}

TEST(SegmentationTest, AConstantBeforeTheClipChangesTheMask) {
  const auto object_pixels = [](double constant) {
    Map map({1, 4}, {-0.5, 0.1, 0.4, 1.0});
    for (double& v : map.flat()) v += constant;
    const ScaledMap scaled = ScaleMap(map);
    return std::ranges::count_if(scaled.values.flat(),
                                 [&](double v) { return v > scaled.threshold; });
  };
  EXPECT_EQ(object_pixels(0), 2);  // .1, .4, 1 above 0: mean .375
  EXPECT_EQ(object_pixels(-0.35), 1);
}

TEST(SegmentationTest, AveragePrecisionHasTheTiesOfItsDefinition) {
  // Sorted thresholds, equal scores together: the definition, word for word.
  const auto slow = [](const std::vector<double>& m, const std::vector<std::int8_t>& y) {
    std::vector<std::pair<float, int>> scores;
    for (std::size_t i = 0; i < m.size(); ++i) {
      const auto value = static_cast<float>(m[i]);
      scores.emplace_back(1.0f - value, 1 - y[i]);
      scores.emplace_back(value, y[i]);
    }
    std::ranges::sort(scores, std::greater<>());
    double ap = 0;
    double positives = 0;
    for (std::size_t i = 0; i < scores.size();) {
      std::size_t j = i;
      double added = 0;
      for (; j < scores.size() && scores[j].first == scores[i].first; ++j)
        added += scores[j].second;
      positives += added;
      ap += added / static_cast<double>(m.size()) * positives / static_cast<double>(j);
      i = j;
    }
    return ap;
  };
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<double> values = {0, 1};
    std::vector<std::int8_t> truth = {0, 1};
    for (int i = 0; i < 98; ++i) {
      values.push_back(static_cast<double>(random() % (trial < 10 ? 5 : 100'000)) /
                       (trial < 10 ? 4.0 : 1e5));
      truth.push_back(static_cast<std::int8_t>(random() % 2));
    }
    const PictureSegmentation p =
        CompareWithMask(ScaleMap(Map({10, 10}, values)), Mask({10, 10}, truth));
    EXPECT_NEAR(p.average_precision, slow(values, truth), 1e-12);
  }
}

TEST(SegmentationTest, MasksOfAnyKind) {
  const MaskPixels gray = ReadMaskPixels(Gray(3, 1, {0, 7, 255}), std::nullopt, "m");
  EXPECT_EQ(Values(gray), (std::vector<int>{0, 1, 1}));
  EXPECT_EQ(Values(ReadMaskPixels(Gray(3, 1, {0, 7, 255}), 255, "m")),
            (std::vector<int>{0, 1, -1}));
  Image rgb = Gray(2, 1, {0, 0, 0, 0, 9, 0});
  rgb.mode = PixelMode::kRgb;
  EXPECT_EQ(Values(ReadMaskPixels(rgb, std::nullopt, "m")), (std::vector<int>{0, 1}));
  ExpectError(ErrorCode::kUnsupported,
              "m: value 255 is not to be counted, but the mask's pixels "
              "have 3 bytes (mode RGB)",
              [&] { ReadMaskPixels(rgb, 255, "m"); });
}

// Test 9: of a picture that is not square the three geometries differ, and only the paper's puts a
// marked corner elsewhere than the picture's own.
TEST(SegmentationTest, GeometriesOfAMarkedCorner) {
  ModelConfig config;
  config.patch_size = 10;
  config.preprocess.image_size = 40;
  // 120 x 60, cut to columns 30 … 90; a mark on [30, 45) x [0, 15), the corner of what is seen.
  std::vector<std::uint8_t> pixels(120 * 60, 0);
  for (int y = 0; y < 15; ++y) {
    for (int x = 30; x < 45; ++x) At(pixels, y * 120 + x) = 255;
  }
  const Image picture = Gray(120, 60, pixels);
  const MaskPixels mask = ReadMaskPixels(picture, std::nullopt, "m");
  // What the model sees of a picture that looks like the mask: object where it is bright.
  const auto misplaced = [&](MapGeometry geometry) {
    PreprocessConfig seen = config.preprocess;
    if (geometry == MapGeometry::kSquash) seen.resize_mode = ResizeMode::kSquash;
    const Image input = ResizeAndCrop(picture, seen);
    const MaskPixels on_input = MaskOnInput(mask, config, geometry);
    int wrong = 0;
    for (std::size_t i = 0; i < on_input.flat().size(); ++i) {
      wrong += (on_input.flat()[i] == 1) != (input.pixels[3 * i] > 127) ? 1 : 0;
    }
    return wrong;
  };
  EXPECT_EQ(misplaced(MapGeometry::kAligned), 0);
  EXPECT_EQ(misplaced(MapGeometry::kSquash), 0);
  EXPECT_GT(misplaced(MapGeometry::kReference), 50);
  const auto objects = [&](MapGeometry geometry) {
    return std::ranges::count(MaskOnInput(mask, config, geometry).flat(), std::int8_t{1});
  };
  EXPECT_EQ(objects(MapGeometry::kAligned), 100);  // 15 of 60 pixels are 10 of 40
  EXPECT_EQ(objects(MapGeometry::kSquash), 50);    // half as wide
  EXPECT_EQ(objects(MapGeometry::kReference), 50);
}

TEST(SegmentationTest, WhatLiesBesideThePictureIsNotCounted) {
  ModelConfig config;
  config.patch_size = 10;
  config.preprocess.image_size = 40;
  config.preprocess.resize_mode = ResizeMode::kLongest;
  const MaskPixels mask = MaskOnInput(Mask({1, 2}, {1, 0}), config, MapGeometry::kAligned);
  EXPECT_EQ(std::ranges::count(mask.flat(), std::int8_t{-1}), 800);
  EXPECT_EQ(std::ranges::count(mask.flat(), std::int8_t{1}), 400);
}

// Test 9, first half.
TEST(SegmentationTest, BilinearWithHalfPixelCentres) {
  const Map large = ResizeMap(Map({2, 2}, {0, 1, 2, 3}), 4, 4);
  EXPECT_EQ(std::vector<double>(large.row(0).begin(), large.row(0).end()),
            (std::vector<double>{0, 0.25, 0.75, 1}));
}

// A model of random weights and pictures with masks.
class SegmentationModelTest : public testing::Test {
 protected:
  SegmentationModelTest() {
    RandomModel{}.Write(directory_.path() / "model");
    model_.emplace(ClipModel::Load(directory_.path() / "model"));
  }

  // Pictures of w x h; the mask's object is the left part of `object` columns.
  void Add(const std::string& name, Index width, Index height, Index object, Index mask_width = 0) {
    Image picture = Gray(width, height, {});
    Image mask = picture;
    for (Index y = 0; y < height; ++y) {
      for (Index x = 0; x < width; ++x) {
        picture.pixels.push_back(static_cast<std::uint8_t>((x * 37 + y * 91 + object * 53) % 256));
      }
    }
    mask.width = mask_width > 0 ? mask_width : width;
    for (Index i = 0; i < mask.width * height; ++i) {
      mask.pixels.push_back(i % mask.width < object ? 255 : 0);
    }
    Write(name + ".png", EncodePng(picture));
    if (object > 0) Write(name + ".mask.png", EncodePng(mask));
  }
  void Write(const std::string& name, const std::vector<std::uint8_t>& bytes) {
    directory_.Write("set/" + name, std::string(bytes.begin(), bytes.end()));
  }

  SegmentationResult Evaluate(const SegmentationOptions& options,
                              MapMethod method = MapMethod::kDecomposition) {
    const std::vector<std::string> names = {"red", "a", "b c"};
    const std::vector<std::string> templates = {"{}"};
    const auto classifier = MakeClassifier(*model_, names, templates, false, 1);
    ClassFile classes{.name = "classes.txt", .names = names, .labels = names};
    const ClassMaps maps(*model_, classifier, method, {}, options.threads);
    return EvaluateSegmentation(*model_, *OpenImageSet(directory_.path() / "set"), maps,
                                ClassLabels(classes), options);
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
};

TEST_F(SegmentationModelTest, FiguresAreOfTheSetNotMeansOfPictures) {
  // The background method makes them countable: IoU of the background is its share of all pixels.
  Add("red/1", 21, 21, 7);
  Add("red/2", 42, 42, 28);
  Add("a/3", 21, 21, 0);  // no mask
  const SegmentationResult result = Evaluate({}, MapMethod::kBackground);
  EXPECT_EQ(result.all.pictures, 2);
  EXPECT_EQ(result.without_mask, 1);
  EXPECT_EQ(result.all.empty_maps, 2);
  // Both are seen at 21 x 21: 2/3 and 1/3 background.
  EXPECT_DOUBLE_EQ(result.all.iou[0].value, 0.5);
  EXPECT_DOUBLE_EQ(result.all.iou[1].value, 0.0);
  EXPECT_DOUBLE_EQ(result.all.mean_iou.value, 0.25);
  EXPECT_DOUBLE_EQ(result.all.pixel_accuracy.value, 0.5);
  ASSERT_TRUE(result.right.has_value());
  EXPECT_EQ(result.labelled, 2);

  // Set-level and picture-level IoU differ where objects differ in size.
  const ScaledMap map = ScaleMap(Map({1, 4}, {0, 0, 1, 1}));
  const PictureSegmentation one = CompareWithMask(map, Mask({1, 4}, {0, 0, 1, 0}));
  const PictureSegmentation two = CompareWithMask(map, Mask({1, 4}, {1, 1, 1, 0}));
  const auto iou = [](Index intersection, Index union_of_both) {
    return static_cast<double>(intersection) / static_cast<double>(union_of_both);
  };
  EXPECT_DOUBLE_EQ(iou(one.intersection[1] + two.intersection[1], one.union_[1] + two.union_[1]),
                   2.0 / 6.0);
  EXPECT_DOUBLE_EQ(
      (iou(one.intersection[1], one.union_[1]) + iou(two.intersection[1], two.union_[1])) / 2,
      0.375);
}

TEST_F(SegmentationModelTest, EveryMethodGivesFiguresForAnyThreads) {
  for (int i = 0; i < 6; ++i) Add("red/" + std::to_string(i), 21 + i, 30 - i, 5 + i);
  for (const MapMethod method : {MapMethod::kDecomposition, MapMethod::kRawAttention,
                                 MapMethod::kRollout, MapMethod::kPatchText}) {
    for (const bool truth : {false, true}) {
      const SegmentationResult one = Evaluate({.truth = truth, .threads = 1}, method);
      const SegmentationResult two = Evaluate({.truth = truth, .threads = 2}, method);
      EXPECT_EQ(one.all.pictures, 6) << NameOf(method);
      EXPECT_GT(one.all.mean_ap.value, 0);
      EXPECT_EQ(one.all.mean_ap.value, two.all.mean_ap.value) << NameOf(method);
      EXPECT_EQ(one.all.pixel_accuracy.value, two.all.pixel_accuracy.value);
    }
  }
}

TEST_F(SegmentationModelTest, LabelsThatAreNoClassAreLeftOutWithTruth) {
  Add("red/1", 21, 21, 7);
  Add("green/2", 21, 21, 7);
  EXPECT_EQ(Evaluate({}).all.pictures, 2);
  const SegmentationResult truth = Evaluate({.truth = true});
  EXPECT_EQ(truth.all.pictures, 1);
  EXPECT_EQ(truth.without_label, 1);
}

TEST_F(SegmentationModelTest, RefusesMasksThatDoNotFit) {
  Add("red/1", 21, 21, 7, 20);
  ExpectError(ErrorCode::kCorruptData,
              "red/1.png: mask: is 20 x 21 pixels, its picture 21 x 21; a mask has the picture's "
              "size",
              [&] { Evaluate({}); });
  Write("red/1.mask.png", {'x'});
  ExpectError(ErrorCode::kUnsupported, "red/1.png: mask", [&] { Evaluate({}); });
}

TEST_F(SegmentationModelTest, SaysThatNothingCanBeCounted) {
  Add("red/1", 21, 21, 0);
  ExpectError(ErrorCode::kNotFound, "none of its 1 pictures can be counted: 1 have no mask",
              [&] { Evaluate({}); });
}

// A pass that keeps every token gives the same embedding, and what it keeps fits together.
TEST_F(SegmentationModelTest, PassesThatKeepEveryToken) {
  const std::vector<Array<float, 3>> pixels = {
      Preprocess(Gray(21, 21, std::vector<std::uint8_t>(441, 90)), model_->config().preprocess),
      Preprocess(Gray(21, 21, std::vector<std::uint8_t>(441, 10)), model_->config().preprocess)};
  const Index width = model_->config().embed_width;
  Array<float, 2> plain({2, width});
  Array<float, 2> kept({2, width});
  Workspace workspace(1);
  std::vector<Captures> before(2);
  std::vector<Captures> after(2);
  CaptureRequest everywhere = TokenCaptures();
  everywhere.attention = kAllLayers;
  everywhere.last = true;
  model_->EmbedImages(pixels, plain, workspace, TokenCaptures(), before);
  model_->EmbedImages(pixels, kept, workspace, everywhere, after);
  for (Index k = 0; k < 2 * width; ++k) {
    EXPECT_NEAR(plain.data()[k], kept.data()[k], 1e-6);
  }
  for (std::size_t g = 0; g < 2; ++g) {
    const Captures& a = after[g];
    for (Index l = 0; l < a.attention.dim(0); ++l) {
      for (Index i = 0; i < a.attention.dim(1); ++i) {
        double sum = 0;
        for (const float v : a.attention[l].row(i)) sum += v;
        EXPECT_NEAR(sum, 1, 1e-5);
      }
      // The class token's row is the mean of the heads' patterns.
      for (Index i = 0; i < a.attention.dim(2); ++i) {
        double mean = 0;
        for (Index h = 0; h < a.pattern.dim(1); ++h) mean += before[g].pattern[l](h, i);
        EXPECT_NEAR(a.attention[l](0, i), mean / static_cast<double>(a.pattern.dim(1)), 1e-6);
      }
    }
    double mean = 0;
    for (const float v : a.last.row(0)) mean += v;
    EXPECT_NEAR(mean / static_cast<double>(a.last.dim(1)), before[g].scale.mean, 1e-5);
  }
}

}  // namespace
}  // namespace cliplens
