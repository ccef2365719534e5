#include "cliplens/report/heat_map_report.h"

#include <cmath>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

ModelConfig Config(ResizeMode mode) {
  ModelConfig config;
  config.patch_size = 10;
  config.preprocess.image_size = 40;
  config.preprocess.resize_mode = mode;
  return config;
}

MappedPicture Picture(Index width, Index height, const ModelConfig& config) {
  MappedPicture picture;
  picture.path = "a.png";
  picture.model_name = "small";
  picture.fingerprint = "00";
  picture.precision = "fp32";
  picture.rgb.width = width;
  picture.rgb.height = height;
  picture.rgb.pixels.assign(ToSize(3 * width * height), 120);
  picture.region = RegionOf(width, height, config);
  return picture;
}

// Red less blue of a pixel: above 0 speaks for, below against.
int Warmth(const Image& image, Index x, Index y) {
  const std::uint8_t* pixel = image.pixels.data() + 3 * (y * image.width + x);
  return int{pixel[0]} - int{pixel[2]};
}

// A map whose upper left corner is for and whose lower right is against lands in these corners of
// what the model looks at, however that was made of the picture.
TEST(HeatMapReport, CornersLandWhereTheModelLooks) {
  Array<double, 2> grid({4, 4});
  grid(0, 0) = 2;
  grid(3, 3) = -5;  // beyond the scale: full colour, and no wrap
  struct Case {
    ResizeMode mode;
    Index left, top, right, bottom;  // of what the model looks at, in a picture of 240 x 120
  };
  for (const Case& c :
       {Case{ResizeMode::kShortest, 60, 0, 180, 120}, Case{ResizeMode::kSquash, 0, 0, 240, 120}}) {
    const MappedPicture picture = Picture(240, 120, Config(c.mode));
    const Image image = DrawMap(picture, grid, 2, 240, 120);
    EXPECT_GT(Warmth(image, c.left + 4, c.top + 4), 100);
    EXPECT_LT(Warmth(image, c.right - 5, c.bottom - 5), -100);
    EXPECT_EQ(Warmth(image, c.right - 5, c.top + 4), 0);
    EXPECT_EQ(Warmth(image, c.left + 4, c.bottom - 5), 0);
    EXPECT_EQ(Warmth(image, 120, 60), 0);
    if (c.left > 0) {
      // Beside the crop the picture is pale and has no map.
      EXPECT_EQ(Warmth(image, c.left - 3, 4), 0);
      EXPECT_GT(image.pixels[0], 220);
    }
    // Half the size: the same places.
    const Image half = DrawMap(picture, grid, 2, 120, 60);
    EXPECT_GT(Warmth(half, c.left / 2 + 2, 2), 100);
    EXPECT_LT(Warmth(half, c.right / 2 - 3, 57), -100);
  }
}

TEST(HeatMapReport, OppositeMapsHaveOppositeColours) {
  const MappedPicture picture = Picture(40, 40, Config(ResizeMode::kShortest));
  Array<double, 2> grid({4, 4});
  for (Index i = 0; i < 16; ++i) grid(i / 4, i % 4) = static_cast<double>(i) - 7.5;
  Array<double, 2> negated({4, 4});
  for (Index i = 0; i < 16; ++i) negated(i / 4, i % 4) = -grid(i / 4, i % 4);
  const Image a = DrawMap(picture, grid, 8, 40, 40);
  const Image b = DrawMap(picture, negated, 8, 40, 40);
  for (Index y = 0; y < 40; ++y) {
    for (Index x = 0; x < 40; ++x) EXPECT_LE(Warmth(a, x, y) * Warmth(b, x, y), 0);
  }
}

TEST(HeatMapReport, ScalesAreRoundedUp) {
  EXPECT_DOUBLE_EQ(RoundScale(0.0123), 0.015);
  EXPECT_DOUBLE_EQ(RoundScale(0.02), 0.02);
  EXPECT_DOUBLE_EQ(RoundScale(0.0201), 0.03);
  EXPECT_DOUBLE_EQ(RoundScale(9), 10);
  EXPECT_DOUBLE_EQ(RoundScale(0), 1);
  for (double v = 1e-6; v < 1e3; v *= 1.07) {
    EXPECT_GE(RoundScale(v), v * (1 - 1e-9));
    EXPECT_LE(RoundScale(v), 1.51 * v);
  }
}

HeatMapReport Report(Index width, Index height) {
  HeatMapReport report;
  report.picture = Picture(width, height, Config(ResizeMode::kShortest));
  for (const char* text : {"a duck",
                           "something with a long, long name that fills two lines at "
                           "least and is cut in the end"}) {
    HeatMapPanel panel{text, "", "heads all", {{0, 0}, {0, 1}}, {}};
    panel.map.grid = Array<double, 2>({4, 4}, 0.01);
    panel.map.rest = {.pooled_token = 0.02, .mlps = 0.03, .input = -0.01};
    panel.map.score = 0.2;
    report.panels.push_back(panel);
  }
  report.panels.back().against = "a swan";
  return report;
}

TEST(HeatMapReport, JsonAddsUp) {
  const Json json = HeatMapJson(Report(80, 40));
  EXPECT_EQ(json["format"], "cliplens.heatmap/1");
  EXPECT_EQ(json["region"], (std::vector<double>{20, 0, 60, 40}));
  double sum = 0;
  for (const Json& row : json["map"]) {
    for (const Json& v : row) sum += v.get<double>();
  }
  for (const auto& [name, v] : json["rest"].items()) sum += v.get<double>();
  EXPECT_NEAR(sum, json["score"].get<double>(), 1e-12);
  EXPECT_FALSE(json["maps"][0].contains("against"));
  EXPECT_EQ(json["maps"][1]["against"], "a swan");
  EXPECT_EQ(json["maps"][1]["heads"], (std::vector<std::string>{"L0.H0", "L0.H1"}));
  ExpectError(ErrorCode::kInvalidArgument, "none to write", [] { HeatMapJson({}); });
}

TEST(HeatMapReport, TableNamesTheRest) {
  const std::string table = HeatMapTable(Report(80, 40));
  for (const char* words : {"a.png: 80 x 40, heads all", "class token", "0.1600", "0.0300",
                            "-0.0100", "- a swan", "add up to the score within"}) {
    EXPECT_NE(table.find(words), std::string::npos) << words << "\n" << table;
  }
  EXPECT_EQ(table.find("POOL.MLP"), std::string::npos) << table;
}

TEST(HeatMapReport, TheRestHasWhatTheModelHas) {
  HeatMapReport report = Report(80, 40);
  report.picture.class_token = false;
  report.picture.pool_mlp = true;
  for (HeatMapPanel& panel : report.panels) {
    panel.map.rest = {.mlps = 0.03, .pool_mlp = 0.02, .input = -0.01};
  }
  const std::string table = HeatMapTable(report);
  EXPECT_EQ(table.find("class token"), std::string::npos) << table;
  EXPECT_NE(table.find("POOL.MLP"), std::string::npos) << table;
  const Json rest = HeatMapJson(report)["rest"];
  EXPECT_EQ(rest["pool_mlp"], 0.02);
  EXPECT_FALSE(rest.contains("class_token"));
}

TEST(HeatMapReport, SheetsOfAnyPicture) {
  for (const auto& [width, height] :
       {std::pair<Index, Index>{80, 40}, {1, 900}, {900, 1}, {3, 3}}) {
    const Image sheet = HeatMapSheet(Report(width, height));
    EXPECT_EQ(sheet.mode, PixelMode::kRgb);
    EXPECT_GT(sheet.width, 500);
    EXPECT_LT(sheet.width, 2000);
    EXPECT_LT(sheet.height, 2000);
  }
}

}  // namespace
}  // namespace cliplens
