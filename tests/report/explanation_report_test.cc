#include "cliplens/report/explanation_report.h"

#include <cmath>

#include <gtest/gtest.h>

#include "cliplens/report/score_section.h"

namespace cliplens {
namespace {

// Two layers of one head, a grid of 2 x 2, two words and the text's rest.
ExplanationReport Report() {
  ExplanationReport report;
  report.picture.path = "a<b>.png";
  report.picture.model_name = "small";
  report.picture.fingerprint = "00";
  report.picture.precision = "fp32";
  report.picture.rgb.width = 40;
  report.picture.rgb.height = 20;
  report.picture.rgb.pixels.assign(2400, 99);
  report.picture.region = {10, 0, 30, 20};
  report.text = "a <duck>";
  report.layers = 2;
  report.heads = 1;
  report.grid = 2;
  report.top = 2;
  report.labels[{1, 0}] = "object & co";
  Explanation& e = report.explanation;
  e.components = {-0.02, 0.3, -0.05, 0.01, 0.0};  // L0.H0, L1.H0, INPUT, L0.MLP, L1.MLP
  e.class_to_class = {0.001, 0.002};
  e.parts = {{"a", TextPartKind::kWord, false},
             {"<duck>", TextPartKind::kWord, true},
             {"INPUT", TextPartKind::kInput, false}};
  e.patch_part =
      Array<double, 2>({3, 4}, {0.01, 0.02, 0.03, 0.04, 0.05, -0.5, 0.1, 0.1, 0, 0, 0, 0});
  e.class_token = {0.001, 0.001, 0.001};
  e.registers = {0, 0, 0};
  e.mlps = {0.1, 0.2, 0.05};
  e.pool_mlp = {0, 0, 0};
  e.input = {-0.02, -0.02, 0.076};
  for (Index j = 0; j < 3; ++j) e.sum += e.of_part(j);
  e.score = 0.24;
  return report;
}

TEST(ExplanationReport, ComponentsAreRankedOnBothSides) {
  const ExplanationReport report = Report();
  EXPECT_EQ(RankedComponents(report.explanation), (std::vector<Index>{1, 3, 4, 0, 2}));
  EXPECT_EQ(ComponentsOfSide(report, false), (std::vector<Index>{1, 3}));
  EXPECT_EQ(ComponentsOfSide(report, true), (std::vector<Index>{2, 0}));
}

TEST(ExplanationReport, JsonAddsUp) {
  const Json json = ExplanationJson(Report());
  EXPECT_EQ(json["format"], "cliplens.explain/1");
  EXPECT_EQ(json["components"][0]["component"], "L1.H0");
  EXPECT_EQ(json["components"][0]["label"], "object & co");
  EXPECT_FALSE(json["components"][1].contains("label"));
  EXPECT_EQ(json["words"][1]["text"], "<duck>");
  EXPECT_EQ(json["words"][1]["against"], true);
  EXPECT_EQ(json["words"][2]["kind"], "input");
  EXPECT_NEAR(json["map"][0][1].get<double>(), -0.48, 1e-12);
  double sum = 0;
  for (const Json& row : json["patch_word"]) {
    for (const Json& v : row) sum += v.get<double>();
  }
  for (const auto& [name, v] : json["rest"].items()) sum += v.get<double>();
  EXPECT_NEAR(sum, json["sum"].get<double>(), 1e-12);
  EXPECT_NEAR(json["sum_of_components"].get<double>(), 0.24, 1e-12);
}

TEST(ExplanationReport, TableSaysHowCloselyThingsAddUp) {
  const std::string table = ExplanationTable(Report());
  for (const char* words :
       {"score 0.2400", "L1.H0   0.3000  object & co", "INPUT    -0.0500",
        "all 5 components: 0.2400, of which the class token's attention to itself 0.0030",
        "− <duck>", "text INPUT", "-0.5000 at row 1, column 2",
        "differs from the score by 0.0e+00"}) {
    EXPECT_NE(table.find(words), std::string::npos) << words << "\n" << table;
  }
}

TEST(ExplanationReport, SheetsOfAnyNumberOfWords) {
  ExplanationReport report = Report();
  const Image few = ExplanationSheet(report);
  Explanation& e = report.explanation;
  e.parts.assign(60, {"word", TextPartKind::kWord, false});
  e.patch_part = Array<double, 2>({60, 4}, 0.1);
  e.class_token.assign(60, 0);
  e.registers.assign(60, 0);
  e.mlps.assign(60, 0);
  e.pool_mlp.assign(60, 0);
  e.input.assign(60, 0);
  const Image many = ExplanationSheet(report);
  EXPECT_EQ(few.width, many.width);
  EXPECT_GT(many.height, few.height);
}

TEST(ScoreSection, TextIsEscapedAndHeadsLeadToTheirCards) {
  ReportScores scores;
  scores.explanation = Report();
  scores.maps.picture = scores.explanation.picture;
  HeatMapPanel panel{"a <duck>", "", "heads all", {{0, 0}}, {}};
  panel.map.grid = Array<double, 2>({2, 2}, 0.1);
  panel.map.score = 0.24;
  scores.maps.panels = {panel};
  const std::string html = ScoreSection(scores, {{1, 0}});
  EXPECT_EQ(html.find("<duck>"), std::string::npos);
  EXPECT_EQ(html.find("a<b>.png"), std::string::npos);
  EXPECT_NE(html.find("<a href=\"#L1.H0\">L1.H0</a>"), std::string::npos);
  EXPECT_EQ(html.find("<a href=\"#L0.H0\""), std::string::npos);
  EXPECT_NE(html.find("object &amp; co"), std::string::npos);
  EXPECT_EQ(html.find("style="), std::string::npos);  // the page's policy forbids it
  std::size_t pictures = 0;
  for (std::size_t at = 0; (at = html.find("<img ", at)) != std::string::npos; ++at) ++pictures;
  EXPECT_EQ(pictures, 2u + 3u);
}

}  // namespace
}  // namespace cliplens
