#include "cliplens/report/curve.h"

#include <string_view>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

Index Count(std::string_view text, std::string_view part) {
  Index count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; ++at) ++count;
  return count;
}

Curve TwoSeries() {
  return {"Accuracy",
          "layers",
          "accuracy, %",
          {{"first", {{90, 88, 92}, {50, 45, 55}, {10, 9, 11}}}, {"last", {{10, 9, 11}}}}};
}

TEST(RenderCurve, HasAPointForEachFigureAndABandForEachSeries) {
  const std::string svg = RenderCurve(TwoSeries());
  EXPECT_TRUE(svg.starts_with("<?xml version=\"1.0\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(Count(svg, "<circle "), 4);
  EXPECT_EQ(Count(svg, "fill-opacity"), 2);
  EXPECT_EQ(Count(svg, "<svg "), 1);
  for (const char* text : {">Accuracy<", ">layers<", ">accuracy, %<", ">first<", ">last<"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
}

TEST(RenderCurve, HigherIsHigherAndLaterIsFurtherRight) {
  Curve curve = TwoSeries();
  curve.series.pop_back();
  const std::string svg = RenderCurve(curve);
  std::vector<double> x, y;
  for (std::size_t at = 0; (at = svg.find("<circle cx=\"", at)) != std::string::npos; ++at) {
    x.push_back(std::stod(svg.substr(at + 12)));
    y.push_back(std::stod(svg.substr(svg.find("cy=\"", at) + 4)));
  }
  ASSERT_EQ(x.size(), 3u);
  EXPECT_LT(x[0], x[1]);
  EXPECT_NEAR(x[2] - x[1], x[1] - x[0], 0.11);
  EXPECT_LT(y[0], y[1]);  // down the page
  EXPECT_NEAR(y[2] - y[1], y[1] - y[0], 0.11);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_GT(y[i], 0);
    EXPECT_LT(y[i], 400);
    EXPECT_LT(x[i], 640);
  }
}

TEST(RenderCurve, EmbeddedItHasNoDeclarationAndTextIsEscaped) {
  Curve curve = TwoSeries();
  curve.title = "<script>&";
  curve.series[0].name = "a<b";
  const std::string svg = RenderCurve(curve, true);
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(Count(svg, "&lt;script&gt;&amp;"), 2);
  EXPECT_NE(svg.find("a&lt;b"), std::string::npos);
}

TEST(RenderCurve, FlatAndSingleCurvesHaveFiniteCoordinates) {
  for (const double value : {0.0, 100.0, -3.5, 1e-9}) {
    for (const std::size_t points : {1u, 2u, 50u}) {
      const Curve curve = {
          "t", "x", "y", {{"s", std::vector<Estimate>(points, {value, value, value})}}};
      const std::string svg = RenderCurve(curve);
      EXPECT_EQ(svg.find("nan"), std::string::npos) << value;
      EXPECT_EQ(svg.find("inf"), std::string::npos) << value;
      EXPECT_EQ(Count(svg, "<circle "), static_cast<Index>(points));
    }
  }
}

TEST(RenderCurve, WhatCannotBeDrawnIsAnError) {
  ExpectError(ErrorCode::kInvalidArgument, "0 series", [] { RenderCurve({"t", "x", "y", {}}); });
  ExpectError(ErrorCode::kInvalidArgument, "each with points", [] {
    RenderCurve({"t", "x", "y", {{"s", {}}}});
  });
  Curve five = TwoSeries();
  five.series.resize(5, five.series[0]);
  ExpectError(ErrorCode::kInvalidArgument, "5 series", [&] { RenderCurve(five); });
}

}  // namespace
}  // namespace cliplens
