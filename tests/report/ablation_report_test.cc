#include "cliplens/report/ablation_report.h"

#include <gtest/gtest.h>

#include "cliplens/report/json.h"

namespace cliplens {
namespace {

AccuracySetting Setting() {
  AccuracySetting setting;
  setting.store.model_name = "model";
  setting.store.fingerprint = "f00";
  setting.store.images = 9;
  setting.classes_name = "classes.txt";
  setting.classes = 3;
  setting.templates = 2;
  setting.foreign = 1;
  return setting;
}

AblationResult Result() {
  AblationResult result;
  result.images = 8;
  for (const char* name : {"base", "mlps", "cls_attn", "mlps+cls_attn"}) {
    result.rows.push_back({name, {0.75, 0.5, 1}, {0.25, 0.2, 0.3}});
  }
  result.cumulative = {{"first-0", {0.75, 0.5, 1}, {}}, {"first-1", {0.25, 0.125, 0.5}, {}}};
  result.last_only = {{"last-0", {0.125, 0, 0.25}, {}}, {"last-1", {0.5, 0.25, 0.75}, {}}};
  result.components = {{"L0.H0", {-0.125, -0.25, 0}, {0.001, 0, 0.002}},
                       {"L0.H1", {0.25, 0, 0.5}, {-0.00000001, -1, 1}},
                       {"INPUT", {0, 0, 0}, {0, 0, 0}},
                       {"L0.MLP", {0.25, 0, 0.5}, {0.5, 0, 1}}};
  return result;
}

ReconstructionReport Reconstructed() {
  ReconstructionResult r;
  r.images = 8;
  r.heads = 2;
  r.nothing.accuracy = {0.125, 0, 0.25};
  r.whole.accuracy = {0.75, 0.5, 1};
  r.whole.explained = 1;
  r.rows = {{5, {0.5, 0.25, 0.75}, {0.375, 0.25, 0.5}, 7, 0.625}};
  ReconstructionResult random = r;
  random.rows[0].accuracy.value = 0.25;
  return {Setting(), 1, {{"a,b.txt", 40, r}, {"random-1", 40, random}}};
}

TEST(AblationJson, NamesEveryFigureWithItsBounds) {
  const Json json = AblationJson(Setting(), Result());
  EXPECT_EQ(json.begin().key(), "format");
  EXPECT_EQ(json["format"], "cliplens.ablate/2");
  EXPECT_EQ(json["images"], 8);
  EXPECT_EQ(json["labels_not_among_classes"], 1);
  EXPECT_EQ(json["classes"]["classes"], 3);
  EXPECT_FALSE(json.contains("means"));
  EXPECT_EQ(json["rows"][3]["name"], "mlps+cls_attn");
  EXPECT_EQ(json["rows"][0]["accuracy"], EstimateJson({0.75, 0.5, 1}));
  EXPECT_EQ(json["rows"][0]["score"], EstimateJson({0.25, 0.2, 0.3}));
  EXPECT_EQ(json["cumulative"][1]["value"], 0.25);
  EXPECT_EQ(json["last_only"][1], EstimateJson({0.5, 0.25, 0.75}));
  EXPECT_EQ(json["components"][1]["component"], "L0.H1");
  EXPECT_EQ(json["components"][1]["accuracy_lost"], EstimateJson({0.25, 0, 0.5}));
  AccuracySetting other = Setting();
  other.means = "other";
  EXPECT_EQ(AblationJson(other, Result())["means"], "other");
}

TEST(AblationCsv, HasALineForEachFigure) {
  const std::string csv = AblationCsv(Result());
  EXPECT_EQ(std::ranges::count(csv, '\n'), 1 + 4 + 2 + 2 + 4);
  EXPECT_TRUE(csv.starts_with("kind,name,accuracy,accuracy_low,accuracy_high,score,"));
  EXPECT_NE(csv.find("\nrow,base,0.75,0.5,1,0.25,0.2,0.3\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\ncumulative,1,0.25,0.125,0.5,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\nlast-only,0,0.125,0,0.25,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\ncomponent,L0.H1,0.25,0,0.5,-1e-08,-1,1\n"), std::string::npos) << csv;
}

TEST(AblationTable, ListsThoseFirstThatCostMost) {
  const std::string table = AblationTable(Setting(), Result(), 3);
  EXPECT_TRUE(
      table.starts_with("8 pictures with a label among the 3 classes of classes.txt; "
                        "means of these pictures; bounds hold 95 %\n"))
      << table;
  EXPECT_NE(table.find("75.0 (50.0 to 100.0)"), std::string::npos) << table;
  const std::size_t first = table.find("L0.H1");
  const std::size_t second = table.find("L0.MLP");
  const std::size_t third = table.find("INPUT  ");
  EXPECT_LT(first, second);  // a tie keeps the order of components
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
  EXPECT_EQ(table.find("L0.H0"), std::string::npos);
  EXPECT_EQ(table.find("-0.00000"), std::string::npos) << table;
  EXPECT_EQ(AblationTable(Setting(), Result(), 0).find("alone replaced"), std::string::npos);
  AccuracySetting other = Setting();
  other.means = "other";
  EXPECT_NE(AblationTable(other, Result(), 0).find("means of other"), std::string::npos);
}

TEST(AblationCurve, IsInPercent) {
  const Curve curve = AblationCurve(Result());
  ASSERT_EQ(curve.series.size(), 2u);
  EXPECT_EQ(curve.series[0].points[1].value, 25);
  EXPECT_EQ(curve.series[1].points[1].high, 75);
  EXPECT_FALSE(RenderCurve(curve).empty());
}

TEST(Reconstruction, JsonCsvAndTableSayTheSame) {
  const Json json = ReconstructionJson(Reconstructed());
  EXPECT_EQ(json.begin().key(), "format");
  EXPECT_EQ(json["format"], "cliplens.reconstruct/2");
  EXPECT_EQ(json["layers"], 1);
  EXPECT_EQ(json["heads"], 2);
  EXPECT_EQ(json["images"], 8);
  EXPECT_EQ(json["whole"]["accuracy"]["value"], 0.75);
  EXPECT_EQ(json["nothing"]["accuracy"]["low"], 0);
  EXPECT_EQ(json["nothing"]["accuracy"]["high"], 0.25);
  EXPECT_EQ(json["pools"].size(), 2u);
  EXPECT_EQ(json["pools"][0]["pool"]["name"], "a,b.txt");
  EXPECT_EQ(json["pools"][0]["pool"]["texts"], 40);
  const Json& row = json["pools"][0]["rows"][0];
  EXPECT_EQ(row["count"], 5);
  EXPECT_EQ(row["accuracy_alone"], EstimateJson({0.375, 0.25, 0.5}));
  EXPECT_EQ(row["distinct_texts"], 7);
  EXPECT_EQ(row["explained"], 0.625);

  const std::string csv = ReconstructionCsv(Reconstructed().pools);
  EXPECT_EQ(std::ranges::count(csv, '\n'), 1 + 2 * 3);
  EXPECT_NE(csv.find("\n\"a,b.txt\",5,0.5,0.25,0.75,0.375,0.25,0.5,7,0.625\n"), std::string::npos)
      << csv;
  EXPECT_NE(csv.find("\nrandom-1,5,0.25,"), std::string::npos) << csv;

  const std::string table = ReconstructionTable(Reconstructed());
  EXPECT_NE(table.find("2 heads of the last layer, "), std::string::npos) << table;
  EXPECT_NE(table.find("50.0 (25.0 to 75.0)"), std::string::npos) << table;
  EXPECT_NE(table.find("62.5 %"), std::string::npos) << table;
  EXPECT_NE(table.find("whole heads"), std::string::npos) << table;
  EXPECT_EQ(ReconstructionTable({}), "");
}

}  // namespace
}  // namespace cliplens
