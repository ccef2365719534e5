#include "cliplens/report/group_report.h"

#include <gtest/gtest.h>

#include "cliplens/report/html_sections.h"

namespace cliplens {
namespace {

GroupReport BirdsReport() {
  GroupReport report;
  report.setting.store.model_name = "model";
  report.setting.classes_name = "birds.txt";
  report.setting.classes = 2;
  report.classes = {"a water bird", "a land bird"};
  report.attribute = "place";
  report.values = {"<land>", "water"};
  report.edit = "edit.json";
  report.edit_means = "others";
  report.edit_names = "L5.H3";
  report.draws = 3;
  report.seed = 7;
  report.means_distance = 0.75;
  report.result.images = 30;
  report.result.empty_groups = {{1, 1}};
  for (const char* name : {"base", "edit", "random-1", "random-2", "random-3", "recipe"}) {
    GroupRow row;
    row.name = name;
    row.groups = {{0, 0, 20, {0.25, 0.2, 0.3}}, {1, 0, 10, {0.5, 0.4, 0.6}}};
    row.worst = {0.25, 0.2, 0.3};
    row.average = {0.375, 0.3, 0.4};
    report.result.rows.push_back(row);
  }
  report.result.rows[2].worst.value = 0.1;
  report.result.rows[3].worst.value = 0.2;
  report.result.rows[4].worst.value = 0.6;
  return report;
}

TEST(GroupReport, SumsUpTheRandomRows) {
  const auto summary = SummaryOfRandom(BirdsReport().result, &GroupRow::worst);
  ASSERT_TRUE(summary);
  EXPECT_DOUBLE_EQ(summary->best, 0.6);
  EXPECT_NEAR(summary->mean, 0.3, 1e-12);
  EXPECT_NEAR(summary->deviation, 0.264575131, 1e-9);  // √((.04 + .01 + .09) / 2)
  GroupReport none = BirdsReport();
  none.result.rows.resize(2);
  EXPECT_FALSE(SummaryOfRandom(none.result, &GroupRow::worst));
  EXPECT_FALSE(GroupJson(none).contains("random"));
}

TEST(GroupReport, Table) {
  const std::string table = GroupTable(BirdsReport());
  for (const char* words : {"30 pictures in 2 groups", "edit: L5.H3; means of others",
                            "no picture in a land bird", "warning: the means of others lie far",
                            "best of 3", "30.0 ± 26.5", "seed 7", "25.0 (20.0 to 30.0)"}) {
    EXPECT_NE(table.find(words), std::string::npos) << words << "\n" << table;
  }
}

TEST(GroupReport, JsonAndCsv) {
  const Json json = GroupJson(BirdsReport());
  EXPECT_EQ(json["format"], "cliplens.groups/2");
  EXPECT_EQ(json["rows"].size(), 6u);
  EXPECT_EQ(json["rows"][1]["groups"][1]["class"], "a land bird");
  EXPECT_EQ(json["rows"][1]["groups"][1]["count"], 10);
  EXPECT_EQ(json["rows"][1]["groups"][0]["accuracy"].dump(),
            R"({"value":0.25,"low":0.2,"high":0.3})");
  EXPECT_EQ(json["rows"][1]["worst"]["value"], 0.25);
  EXPECT_EQ(json["empty_groups"][0]["attribute"], "water");
  EXPECT_EQ(json["warnings"].size(), 1u);
  const std::string csv = GroupCsv(BirdsReport());
  EXPECT_NE(csv.find("edit,a water bird,<land>,20,0.25,0.2,0.3\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find("recipe,average,,30,0.375,0.3,0.4\n"), std::string::npos) << csv;
}

TEST(GroupReport, NamesAreEscapedOnThePage) {
  const std::string page = GroupSection(BirdsReport());
  EXPECT_EQ(page.find("<land>"), std::string::npos);
  EXPECT_NE(page.find("&lt;land&gt;"), std::string::npos);
  EXPECT_NE(page.find("random heads, draw 2"), std::string::npos);
  EXPECT_NE(page.find("lie far from"), std::string::npos);
}

}  // namespace
}  // namespace cliplens
