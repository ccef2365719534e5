#include "cliplens/dataset/labels.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

Item MakeItem(std::optional<std::string> label, Json attributes = Json::object()) {
  return {"a.png", std::move(label), std::move(attributes)};
}

ClassFile Classes() { return {"classes.txt", {"a duck", "a swan"}, {"duck", "2"}}; }

TEST(LabelOf, TheLabelOrAnAttribute) {
  const Item item = MakeItem(
      "duck", {{"count", 2}, {"place", "lake"}, {"wet", true}, {"nothing", nullptr}, {"x", 0.5}});
  EXPECT_EQ(LabelOf(item, ""), "duck");
  EXPECT_EQ(LabelOf(item, "place"), "lake");
  EXPECT_EQ(LabelOf(item, "count"), "2");
  EXPECT_EQ(LabelOf(item, "wet"), "true");
  EXPECT_EQ(LabelOf(item, "x"), "0.5");
  EXPECT_EQ(LabelOf(item, "nothing"), std::nullopt);
  EXPECT_EQ(LabelOf(item, "missing"), std::nullopt);
  EXPECT_EQ(LabelOf(MakeItem(std::nullopt), ""), std::nullopt);
}

TEST(ClassLabels, ALabelIsWhatTheClassStandsFor) {
  const ClassLabels labels(Classes());
  EXPECT_EQ(labels.IndexOf("duck"), 0);
  EXPECT_EQ(labels.IndexOf("2"), 1);
  EXPECT_EQ(labels.IndexOf("a duck"), -1);
  EXPECT_EQ(labels.IndexOf("Duck"), -1);
  EXPECT_EQ(labels.IndexOf(""), -1);
}

// Macs write names of files in combining characters, keyboards write composed ones.
TEST(ClassLabels, NormalFormsOfOneTextAreOneLabel) {
  ClassFile classes;
  classes.names = classes.labels = {"b\xc3\xa4r", "a\xcc\x8angstro\xcc\x88m"};
  const ClassLabels labels(classes);
  EXPECT_EQ(labels.IndexOf("ba\xcc\x88r"), 0);
  EXPECT_EQ(labels.IndexOf("b\xc3\xa4r"), 0);
  EXPECT_EQ(labels.IndexOf("\xc3\xa5ngstr\xc3\xb6m"), 1);
  EXPECT_EQ(labels.IndexOf("bar"), -1);
  EXPECT_EQ(labels.IndexOf("b\xe4r"), -1);
  std::vector<Item> items(2);
  items[0].label = "ba\xcc\x88r";
  items[1].label = "b\xc3\xa4r";
  EXPECT_EQ(GroupByAttribute(items, "", 9, "store").values, std::vector<std::string>{"b\xc3\xa4r"});
}

TEST(MatchLabels, CountsWhatIsNoClassApartFromWhatHasNone) {
  const std::vector<Item> items = {MakeItem("2"), MakeItem("goose"), MakeItem(std::nullopt),
                                   MakeItem("duck"), MakeItem("heron")};
  const MatchedLabels matched = MatchLabels(items, Classes(), "", "store");
  EXPECT_EQ(matched.classes, (std::vector<Index>{1, -1, -1, 0, -1}));
  EXPECT_EQ(matched.labelled, 2);
  EXPECT_EQ(matched.foreign, 2);
  const std::vector<Item> counted = {MakeItem("duck", {{"count", 2}}), MakeItem("duck")};
  EXPECT_EQ(MatchLabels(counted, Classes(), "count", "store").classes, (std::vector<Index>{1, -1}));
}

TEST(MatchLabels, NoLabelAtAllIsAnError) {
  const std::vector<Item> bare = {MakeItem(std::nullopt)};
  ExpectError(ErrorCode::kNotFound, "store: no picture has a label",
              [&] { MatchLabels(bare, Classes(), "", "store"); });
  ExpectError(ErrorCode::kNotFound, "store: no picture has the attribute 'place'",
              [&] { MatchLabels(bare, Classes(), "place", "store"); });
  // Names from files cannot break the line.
  const std::vector<Item> foreign = {MakeItem("goose\n\x1b[2J"), MakeItem(std::nullopt)};
  ExpectError(ErrorCode::kInvalidArgument, "stands for 'duck'",
              [&] { MatchLabels(foreign, Classes(), "", "store"); });
  ExpectError(ErrorCode::kNotFound, "no picture has a label",
              [&] { MatchLabels({}, Classes(), "", "store"); });
}

}  // namespace
}  // namespace cliplens
