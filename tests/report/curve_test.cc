#include "cliplens/report/curve.h"

#include <cmath>
#include <string_view>

#include "tests/expect_error.h"
#include <fmt/format.h>
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

// The coordinates of all points, as they are drawn.
std::vector<std::pair<double, double>> Points(const std::string& svg) {
  std::vector<std::pair<double, double>> points;
  for (std::size_t at = 0; (at = svg.find("<circle cx=\"", at)) != std::string::npos; ++at) {
    points.emplace_back(std::stod(svg.substr(at + 12)),
                        std::stod(svg.substr(svg.find("cy=\"", at) + 4)));
  }
  return points;
}

TEST(RenderCurve, ANarrowBandFillsTheFigureAndTheAxisSaysSo) {
  const auto span = [](const std::vector<Estimate>& points) {
    const auto drawn = Points(RenderCurve({"t", "x", "accuracy, %", {{"s", points}}}));
    return std::abs(drawn[0].second - drawn[1].second);
  };
  EXPECT_GT(span({{90, 90, 90}, {92, 92, 92}}), 150);
  EXPECT_LT(span({{20, 20, 20}, {92, 92, 92}}), 300);
  const std::string cut =
      RenderCurve({"t", "x", "accuracy, %", {{"s", {{90, 88.2, 91}, {92, 90, 94}}}}});
  EXPECT_NE(cut.find(">accuracy, %; the axis begins at 88<"), std::string::npos) << cut;
  EXPECT_NE(cut.find(">88<"), std::string::npos);
  EXPECT_EQ(Count(cut, ">0<"), 1);  // of x alone
  const std::string whole =
      RenderCurve({"t", "x", "accuracy, %", {{"s", {{9, 9, 9}, {92, 9, 94}}}}});
  EXPECT_EQ(whole.find("begins"), std::string::npos);
  EXPECT_EQ(Count(whole, ">0<"), 2);
}

TEST(RenderCurve, CountsStandOnALogarithmicAxis) {
  Curve curve = {"t", "texts", "y", {{"s", {{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}}}}};
  curve.counts = {1, 2, 4, 100};
  const std::string svg = RenderCurve(curve);
  const auto drawn = Points(svg);
  ASSERT_EQ(drawn.size(), 4u);
  EXPECT_NEAR(drawn[1].first - drawn[0].first, drawn[2].first - drawn[1].first, 0.11);
  EXPECT_NEAR((drawn[3].first - drawn[0].first) / (drawn[1].first - drawn[0].first),
              std::log2(100.0), 0.01);
  for (const char* text : {">1<", ">2<", ">4<", ">100<"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  for (const std::vector<Index>& bad :
       std::vector<std::vector<Index>>{{1, 2, 4}, {1, 2, 2, 4}, {0, 1, 2, 3}}) {
    curve.counts = bad;
    ExpectError(ErrorCode::kInvalidArgument, "counts ascend", [&] { RenderCurve(curve); });
  }
}

TEST(RenderCurve, LinesStandAtTheirValueAndInTheLegend) {
  Curve curve = {"t", "x", "y", {{"s", {{10, 10, 10}, {30, 30, 30}}}}};
  curve.lines = {{"all & nothing", 10}, {"far above", 90}};
  const std::string svg = RenderCurve(curve);
  EXPECT_EQ(Count(svg, "stroke-dasharray"), 4);
  EXPECT_NE(svg.find(">all &amp; nothing<"), std::string::npos);
  const double y = Points(svg)[0].second;
  EXPECT_NE(svg.find("M64.0 " + fmt::format("{:.1f}", y) + "h"), std::string::npos) << svg;
  EXPECT_NE(svg.find(">100<"), std::string::npos);  // the axis reaches the line
  curve.lines.resize(5);
  ExpectError(ErrorCode::kInvalidArgument, "4 lines", [&] { RenderCurve(curve); });
}

TEST(RenderPanels, HaveOneVerticalAxis) {
  const std::vector<Curve> curves = {{"one", "x", "y", {{"s", {{90, 90, 90}, {10, 10, 10}}}}},
                                     {"two", "x", "y", {{"s", {{10, 10, 10}, {12, 12, 12}}}}},
                                     {"three", "x", "y", {{"s", {{5, 5, 5}}}}}};
  const std::string svg = RenderPanels(curves);
  EXPECT_EQ(Count(svg, "<svg "), 1);
  EXPECT_EQ(Count(svg, "<g "), 3);
  EXPECT_EQ(Count(svg, "</g>"), 3);
  EXPECT_NE(svg.find("viewBox=\"0 0 1280 800\""), std::string::npos);
  EXPECT_NE(svg.find("translate(640 0)"), std::string::npos);
  EXPECT_NE(svg.find("translate(0 400)"), std::string::npos);
  const auto drawn = Points(svg);
  ASSERT_EQ(drawn.size(), 5u);
  EXPECT_EQ(drawn[1].second, drawn[2].second);  // both are 10
  EXPECT_NE(RenderPanels({&curves[0], 1}).find("viewBox=\"0 0 640 400\""), std::string::npos);
  ExpectError(ErrorCode::kInvalidArgument, "no panel", [] { RenderPanels({}); });
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
