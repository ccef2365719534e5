// Where maps of tokens land on pictures.
#include "cliplens/analysis/token_map.h"

#include <algorithm>
#include <cmath>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/io/image.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {
namespace {

Array<double, 2> MapOf(Shape<2> shape, std::vector<double> values) { return {shape, values}; }

TEST(TokenMap, BilinearHasHalfPixelCentres) {
  const Array<double, 2> out = ResizeMap(MapOf({2, 2}, {0, 1, 2, 3}), 4, 4);
  const double along[] = {0, 0.25, 0.75, 1};
  for (Index y = 0; y < 4; ++y) {
    for (Index x = 0; x < 4; ++x) EXPECT_DOUBLE_EQ(out(y, x), along[x] + 2 * along[y]);
  }
}

TEST(TokenMap, AnySizeAndConstantsStayThemselves) {
  const Array<double, 2> flat = ResizeMap(MapOf({3, 3}, std::vector<double>(9, 0.1)), 7, 5);
  for (const double v : flat.flat()) EXPECT_EQ(v, 0.1);
  const Array<double, 2> one = ResizeMap(MapOf({1, 1}, {4}), 3, 2);
  for (const double v : one.flat()) EXPECT_EQ(v, 4);
  // To its own size a map is itself.
  const Array<double, 2> map = MapOf({2, 3}, {1, -2, 3, 4, 5, -6});
  EXPECT_TRUE(std::ranges::equal(ResizeMap(map, 2, 3).flat(), map.flat()));
}

TEST(TokenMap, GridLeavesTheClassTokenOut) {
  const std::vector<double> tokens = {9, 1, 2, 3, 4};
  const Array<double, 2> grid = GridOf(tokens, {.prefix = 1, .grid = 2});
  EXPECT_EQ(grid(0, 1), 2);
  EXPECT_EQ(grid(1, 0), 3);
  ExpectError(ErrorCode::kInvalidArgument, "5 tokens for a grid of 3 x 3",
              [&] { GridOf(tokens, {.prefix = 1, .grid = 3}); });
  ExpectError(ErrorCode::kInvalidArgument, "at least 1", [&] { ResizeMap(grid, 0, 2); });
}

ModelConfig Config(ResizeMode mode, PreprocessRule rule = PreprocessRule::kOpenClip,
                   Index resize_size = 0) {
  ModelConfig config;
  config.patch_size = 8;
  config.preprocess.image_size = 64;
  config.preprocess.resize_mode = mode;
  config.preprocess.rule = rule;
  config.preprocess.resize_size = resize_size;
  return config;
}

struct Geometry {
  const char* name;
  ModelConfig config;
};

std::vector<Geometry> Geometries() {
  return {{"crop", Config(ResizeMode::kShortest)},
          {"squash", Config(ResizeMode::kSquash)},
          {"border", Config(ResizeMode::kLongest)},
          {"crop by transformers", Config(ResizeMode::kShortest, PreprocessRule::kHuggingFace)},
          {"crop with a margin", Config(ResizeMode::kShortest, PreprocessRule::kHuggingFace, 72)},
          {"framed", Config(ResizeMode::kShortest, PreprocessRule::kHuggingFace, 48)},
          {"as it is", Config(ResizeMode::kNone, PreprocessRule::kHuggingFace)}};
}

// A bright mark on a dark picture is found again where it is, whatever the geometry: each patch's
// mean brightness stands for the model's map.
TEST(TokenMap, AMarkIsFoundWhereItIs) {
  for (const Geometry& geometry : Geometries()) {
    for (const auto& [width, height] : {std::pair<Index, Index>{150, 90}, {70, 131}, {64, 64}}) {
      const GridRegion region = RegionOf(width, height, geometry.config);
      const PixelRegion pixels = PixelsOf(region, width, height);
      ASSERT_GT(pixels.x.size(), 0);
      ASSERT_GT(pixels.y.size(), 0);
      // In each corner of what the model sees, and in the middle.
      const Index mark = 24;
      for (const auto& [fx, fy] : {std::pair{0, 0}, {2, 0}, {0, 2}, {2, 2}, {1, 1}}) {
        const Index left = pixels.x.begin + (pixels.x.size() - mark) * fx / 2;
        const Index top = pixels.y.begin + (pixels.y.size() - mark) * fy / 2;
        Image picture;
        picture.width = width;
        picture.height = height;
        picture.pixels.assign(ToSize(3 * width * height), 0);
        for (Index y = top; y < top + mark; ++y) {
          const auto row = picture.pixels.begin() + 3 * (y * width + left);
          std::fill(row, row + 3 * mark, std::uint8_t{255});
        }
        const Image input = ResizeAndCrop(picture, geometry.config.preprocess);
        const Index grid = geometry.config.grid();
        Array<double, 2> map({grid, grid});
        for (Index y = 0; y < input.height; ++y) {
          for (Index x = 0; x < input.width; ++x) {
            map(y / 8, x / 8) += At(input.pixels, 3 * (y * 64 + x));
          }
        }
        const Array<double, 2> on_picture = MapOnPicture(map, region, width, height);
        // The centre of gravity of the map is that of the mark, within half a patch.
        double sum = 0, x_sum = 0, y_sum = 0;
        for (Index y = 0; y < height; ++y) {
          for (Index x = 0; x < width; ++x) {
            sum += on_picture(y, x);
            x_sum += on_picture(y, x) * static_cast<double>(x);
            y_sum += on_picture(y, x) * static_cast<double>(y);
          }
        }
        const double cell_x = (region.right - region.left) / static_cast<double>(grid);
        const double cell_y = (region.bottom - region.top) / static_cast<double>(grid);
        EXPECT_NEAR(x_sum / sum, static_cast<double>(left) + 11.5, 0.5 * cell_x) << geometry.name;
        EXPECT_NEAR(y_sum / sum, static_cast<double>(top) + 11.5, 0.5 * cell_y) << geometry.name;
      }
    }
  }
}

TEST(TokenMap, NothingLiesBesideTheCrop) {
  const ModelConfig config = Config(ResizeMode::kShortest);
  const GridRegion region = RegionOf(150, 90, config);
  EXPECT_NEAR(region.left, 30, 1);
  EXPECT_NEAR(region.right, 120, 1);
  EXPECT_EQ(region.top, 0);
  EXPECT_EQ(region.bottom, 90);
  const Array<double, 2> map =
      MapOnPicture(MapOf({8, 8}, std::vector<double>(64, 1)), region, 150, 90);
  const PixelRegion pixels = PixelsOf(region, 150, 90);
  for (Index y = 0; y < 90; ++y) {
    for (Index x = 0; x < 150; ++x) {
      EXPECT_EQ(map(y, x), x >= pixels.x.begin && x < pixels.x.end ? 1 : 0);
    }
  }
  // A border lies beside the picture: the region is larger, its pixels are the picture's.
  const ModelConfig border = Config(ResizeMode::kLongest);
  const GridRegion framed = RegionOf(150, 90, border);
  EXPECT_LT(framed.top, -25);
  EXPECT_GT(framed.bottom, 115);
  const PixelRegion whole = PixelsOf(framed, 150, 90);
  EXPECT_EQ(whole.y.begin, 0);
  EXPECT_EQ(whole.y.end, 90);
  EXPECT_EQ(whole.x.size(), 150);
}

TEST(TokenMap, RowsThatFillNoPatchHaveNoMap) {
  ModelConfig config = Config(ResizeMode::kSquash);
  config.patch_size = 10;  // 6 patches of 10, 4 pixels are left
  const GridRegion region = RegionOf(64, 64, config);
  EXPECT_EQ(region.right, 60);
  EXPECT_EQ(region.bottom, 60);
}

}  // namespace
}  // namespace cliplens
