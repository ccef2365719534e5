#include "cliplens/report/label_report.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cliplens/report/html_sections.h"

namespace cliplens {
namespace {

PropertyShare Share(double value, double beyond, double chance) {
  PropertyShare share;
  share.share = {value, value - 0.01, value + 0.01};
  share.beyond = beyond;
  share.chance = chance;
  return share;
}

// Two heads, one labelled "colour" with a second property, one without a label.
LabelReport TwoHeads() {
  LabelReport report;
  report.store.model_name = "small";
  report.store.fingerprint = "00";
  report.store.images = 9;
  report.properties_name = "table <1>.txt";
  report.pool.name = report.properties_name;
  report.pool.texts = {"a red <b>", "a blue one", "a dog", "a cat"};
  report.pool.properties = {"colour", "colour", "animal & co", "animal & co"};
  report.table = PropertiesOf(report.pool);
  HeadLabel first;
  first.id = {1, 0};
  first.guess = first.label = 0;
  first.second = first.rival = 1;
  first.confidence = 0.9;
  first.stability = 0.75;
  first.coverage = 0.4;
  first.properties = {Share(0.4, 0.3, 0.1), Share(0.3, 0.25, 0.1)};
  first.texts = {{0, 0.3}, {1, 0.1}};
  first.pictures = {{2, 0.01}};
  HeadLabel second;
  second.id = {1, 1};
  second.guess = 0;
  second.confidence = 0.31;
  second.rival = 1;
  second.properties = {Share(0.02, 0.02, 0.1), Share(0.01, 0.01, 0.1)};
  report.labels = {first, second};
  report.scores = ScoreLabels(report.labels, report.table, {{}, {}}, report.pool);
  report.scores_pool = report.pool.name;
  return report;
}

TEST(LabelReport, JsonNamesWhatTheNumbersStandFor) {
  LabelReport report = TwoHeads();
  report.paths = {{0, "a.png"}, {1, "b.png"}, {2, "c.png"}};
  const Json json = LabelJson(report);
  EXPECT_EQ(json["format"], "cliplens.label/3");
  const Json& head = json["heads"][0];
  EXPECT_EQ(head["head"], "L1.H0");
  EXPECT_EQ(head["label"], "colour");
  EXPECT_EQ(head["second"], "animal & co");
  EXPECT_EQ(head["properties"][1]["beyond"], 0.25);
  EXPECT_EQ(head["texts"][0]["text"], "a red <b>");
  EXPECT_EQ(head["pictures"][0]["path"], "c.png");
  EXPECT_TRUE(json["heads"][1]["label"].is_null());
  EXPECT_EQ(json["heads"][1]["guess"], "colour");
  // Read the other way: only heads above chance.
  EXPECT_EQ(json["properties"][0]["texts"].size(), TwoHeads().table.texts[0].size());
  EXPECT_TRUE(json["properties"][0]["texts"][0].is_string());
  ASSERT_EQ(json["properties"][0]["heads"].size(), 1u);
  EXPECT_EQ(json["properties"][0]["heads"][0]["head"], "L1.H0");
  EXPECT_EQ(json["scores"]["labelled"], 1);
  EXPECT_EQ(json["scores"]["entanglement"], 1.0);
}

TEST(LabelReport, CsvHasALineForEachHeadAndProperty) {
  const std::string csv = LabelCsv(TwoHeads());
  EXPECT_EQ(std::ranges::count(csv, '\n'), 1 + 2 * 2);
  EXPECT_NE(csv.find("L1.H1,,colour,,0.31,"), std::string::npos);
  EXPECT_NE(
      csv.find("L1.H0,colour,colour,animal & co,0.9,0.75,0.4,animal & co,colour,0.4,0.39,0.41"),
      std::string::npos);
}

TEST(LabelReport, TableSaysNoneAndWhyItIsNotCalibrated) {
  LabelReport report = TwoHeads();
  const std::string table = LabelTable(report);
  EXPECT_NE(table.find("L1.H1  none (colour?)        0.31"), std::string::npos) << table;
  EXPECT_NE(table.find("; confidence calibrated\n"), std::string::npos) << table;
  report.uncalibrated = {"12 pictures of at least 300", "it was not fitted on this model"};
  EXPECT_NE(
      LabelTable(report).find("confidence not calibrated (12 pictures of at least 300; it was "
                              "not fitted on this model)\n"),
      std::string::npos);
}

TEST(LabelSection, GridLeadsToCardsAndEscapes) {
  LabelReport report = TwoHeads();
  report.uncalibrated = {"few <pictures>"};
  const std::string html = LabelSection(report, {{1, 0}});
  EXPECT_NE(html.find("<a href=\"#L1.H0\""), std::string::npos);
  EXPECT_EQ(html.find("<a href=\"#L1.H1\""), std::string::npos);
  EXPECT_NE(html.find("animal &amp; co"), std::string::npos);
  EXPECT_EQ(html.find("animal & co"), std::string::npos);
  EXPECT_EQ(html.find("table <1>"), std::string::npos);
  EXPECT_NE(html.find("not calibrated: few &lt;pictures&gt;"), std::string::npos);
}

TEST(LabelSection, StrengthsEndAtFifthsOfTheConfidence) {
  LabelReport report = TwoHeads();
  for (const auto& [confidence, strength] : {std::pair{0.0, 1}, {0.2, 1}, {0.21, 2}, {1.0, 5}}) {
    report.labels[0].confidence = confidence;
    EXPECT_NE(LabelSection(report, {}).find(fmt::format("<td class=\"k0 c{}\">", strength)),
              std::string::npos)
        << confidence;
  }
}

TEST(LabelOfCard, ShowsEvidence) {
  const LabelReport report = TwoHeads();
  const auto picture = [](const LabelEvidence& evidence) {
    return "picture " + std::to_string(evidence.index);
  };
  const std::string card = LabelOfCard(report, report.labels[0], picture);
  EXPECT_NE(card.find("picture 2"), std::string::npos);
  EXPECT_NE(card.find("a red &lt;b&gt;"), std::string::npos);
  EXPECT_NE(card.find("colour"), std::string::npos);
  const std::string without = LabelOfCard(report, report.labels[1], picture);
  EXPECT_NE(without.find("No label: the best guess"), std::string::npos);
  EXPECT_NE(without.find("has a confidence of 0.31"), std::string::npos);
}

}  // namespace
}  // namespace cliplens
