#include "cliplens/analysis/live_edit.h"

#include <algorithm>
#include <limits>
#include <random>
#include <set>

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/groups.h"
#include "cliplens/analysis/scored_labels.h"
#include "cliplens/decompose/store_edit.h"

namespace cliplens {
namespace {

class LiveEditTest : public LabelledStore {
 protected:
  LiveEditTest() : store_(Decomposed("pictures", "store", 7)) {}

  static std::vector<ComponentId> Targets(const std::string& text) {
    return ParseComponents(text, {3, 2});
  }
  // By decompose/edit; without targets an edit of nothing.
  Edit EditOf(const std::vector<ComponentId>& targets, bool mean, double scale) const {
    if (targets.empty()) return EditOf(Targets("INPUT"), false, 1);
    return mean ? MakeMeanEdit(store_.info(), store_.basis(), store_.statistics(), targets)
                : MakeScaleEdit(store_.info(), store_.basis(), scale, targets);
  }
  std::vector<Index> AnswersOf(const Edit& edit) const {
    const Matrix rows = AsEigen(EditedRows(store_, edit, false).view()).cast<double>();
    const Matrix scores = rows * AsEigen(classifier_.view()).cast<double>().transpose();
    std::vector<Index> answers;
    for (Index b = 0; b < scores.rows(); ++b) answers.push_back(BestClass(scores, b));
    return answers;
  }
  static double Distance(const Array<float, 2>& a, const Array<float, 2>& b) {
    return (AsEigen(a.view()).cast<double>() - AsEigen(b.view()).cast<double>())
        .cwiseAbs()
        .maxCoeff();
  }
  void ExpectIs(LiveEdit& live, const std::vector<ComponentId>& targets, bool mean, double scale) {
    const Edit edit = EditOf(targets, mean, scale);
    EXPECT_EQ(live.Answers(), AnswersOf(edit)) << edit.Names();
    EXPECT_LE(Distance(live.Rows(), EditedRows(store_, edit, true)), 1e-6) << edit.Names();
  }

  Store store_;
};

TEST_F(LiveEditTest, EveryPathLeadsToWhatTheEditItselfGives) {
  const std::vector<ComponentId> all = Targets("L0.H0,L0.H1,L1.H0,L1.H1,L2.H0,L2.H1,INPUT,mlps");
  std::mt19937_64 random(3);
  for (const int threads : {1, 2}) {
    LiveEdit live(store_, classifier_, threads);
    ExpectIs(live, {}, true, 0);
    std::set<ComponentId> chosen;
    std::set<std::vector<Index>> seen;
    for (int step = 0; step < 150; ++step) {
      // A few come and go; at times all of them.
      for (std::uint64_t i = 0; i < 1 + random() % 3; ++i) {
        const ComponentId& target = all[random() % all.size()];
        if (chosen.erase(target) == 0) chosen.insert(target);
      }
      if (random() % 10 == 0) chosen.clear();
      std::vector<ComponentId> targets(chosen.begin(), chosen.end());
      if (random() % 5 == 0) {
        std::erase_if(targets, [](const ComponentId& t) {
          return t.layer == 1 && t.kind == ComponentId::Kind::kHead;
        });
        targets.push_back({1, ComponentId::Kind::kLayer, 0});
      }
      const bool mean = random() % 3 != 0;
      const double scale = random() % 4 == 0 ? 1000.0 : 0.5;
      live.Apply(targets, mean, scale);
      if (random() % 3 == 0) continue;
      if (random() % 2 == 0) {
        (void)live.Answers();
      } else {
        ExpectIs(live, targets, mean, scale);
      }
      seen.insert(live.Answers());
    }
    EXPECT_GT(seen.size(), 10u);
    live.Apply({}, true, 0);
    EXPECT_EQ(live.Answers(), live.BaseAnswers());
  }
}

TEST_F(LiveEditTest, GroupsAndAccuracyAreThoseOfEvaluateGroups) {
  PictureGroups groups{
      .classes = labels_, .attributes = {}, .num_classes = kClasses, .num_attributes = 2};
  for (Index b = 0; b < kImages; ++b) groups.attributes.push_back(b % 5 == 4 ? -1 : b % 2);
  LiveEdit live(store_, classifier_, 2);
  live.Apply(Targets("L0,L1.MLP,L2.H1"), true, 0);
  const Edit edit = EditOf(Targets("L0,L1.MLP,L2.H1"), true, 0);
  const std::vector<GroupVariant> variants = {{"base", {}}, {"edit", edit}};
  const GroupResult expected = EvaluateGroups(store_, classifier_, groups, variants, {});
  const std::vector<Index> blocks = BootstrapBlocks(store_.ReadItems());
  const std::vector<GroupRow> rows = {RowOfAnswers("base", groups, live.BaseAnswers(), blocks),
                                      RowOfAnswers("edit", groups, live.Answers(), blocks)};
  const auto expect_equal = [](const Estimate& a, const Estimate& b) {
    EXPECT_EQ(a.value, b.value);
    EXPECT_EQ(a.low, b.low);
    EXPECT_EQ(a.high, b.high);
  };
  EXPECT_NE(rows[0].average.value, rows[1].average.value);
  for (std::size_t v = 0; v < 2; ++v) {
    EXPECT_EQ(rows[v].name, expected.rows[v].name);
    expect_equal(rows[v].worst, expected.rows[v].worst);
    expect_equal(rows[v].average, expected.rows[v].average);
    expect_equal(rows[v].group_mean, expected.rows[v].group_mean);
    ASSERT_EQ(rows[v].groups.size(), expected.rows[v].groups.size());
    for (std::size_t g = 0; g < rows[v].groups.size(); ++g) {
      EXPECT_EQ(rows[v].groups[g].count, expected.rows[v].groups[g].count);
      expect_equal(rows[v].groups[g].accuracy, expected.rows[v].groups[g].accuracy);
    }
  }
  // Accuracy is the average over one group of all.
  groups.attributes.assign(groups.attributes.size(), 0);
  groups.num_attributes = 1;
  const Estimate accuracy = AccuracyOfAnswers(labels_, live.Answers(), blocks);
  const Estimate average = RowOfAnswers("", groups, live.Answers(), blocks).average;
  EXPECT_NEAR(accuracy.value, average.value, 1e-12);
  EXPECT_NEAR(accuracy.low, average.low, 1e-12);
  EXPECT_NEAR(accuracy.high, average.high, 1e-12);
  EXPECT_EQ(AccuracyOfAnswers(std::vector<Index>(blocks.size(), -1), live.Answers(), blocks).value,
            0);
  groups.classes[0] = kClasses;
  ExpectError(ErrorCode::kInvalidArgument, "class 4",
              [&] { RowOfAnswers("", groups, live.Answers(), blocks); });
  groups.classes.assign(groups.classes.size(), -1);
  ExpectError(ErrorCode::kInvalidArgument, "no picture has a class",
              [&] { RowOfAnswers("", groups, live.Answers(), blocks); });
  groups.classes.pop_back();
  groups.attributes.pop_back();
  ExpectError(ErrorCode::kInvalidArgument, "20 of 19 pictures",
              [&] { RowOfAnswers("", groups, live.Answers(), blocks); });
}

TEST_F(LiveEditTest, TiesGoToTheLowerClass) {
  std::ranges::copy(classifier_.row(1), classifier_.row(3).data());
  LiveEdit live(store_, classifier_, 2);
  EXPECT_EQ(std::ranges::count(live.BaseAnswers(), 3), 0);
  live.Apply(Targets("L1,L2.H0,L0.MLP"), true, 0);
  EXPECT_EQ(std::ranges::count(live.Answers(), 3), 0);
  EXPECT_GT(std::ranges::count(live.Answers(), 1) + std::ranges::count(live.BaseAnswers(), 1), 0);
}

TEST_F(LiveEditTest, RowsNeedNoClassifier) {
  LiveEdit live(store_, Array<float, 2>(), 2);
  live.Apply(Targets("L2.H1,L1.MLP"), false, -2);
  EXPECT_TRUE(live.Answers().empty());
  EXPECT_TRUE(live.BaseAnswers().empty());
  const Edit edit = EditOf(Targets("L2.H1,L1.MLP"), false, -2);
  EXPECT_LE(Distance(live.Rows(), EditedRows(store_, edit, true)), 1e-6);
}

TEST_F(LiveEditTest, WhatDoesNotFitIsRefusedAndTheEditStays) {
  using Kind = ComponentId::Kind;
  LiveEdit live(store_, classifier_, 2);
  live.Apply(Targets("L2.H1"), true, 0);
  const auto refused = [&](ErrorCode code, const std::string& text,
                           const std::vector<ComponentId>& targets, bool mean, double scale) {
    ExpectError(code, text, [&] { live.Apply(targets, mean, scale); });
  };
  refused(ErrorCode::kInvalidArgument, "L3.H0", {{3, Kind::kHead, 0}}, true, 0);
  refused(ErrorCode::kInvalidArgument, "3 layers x 2 heads", {{1, Kind::kHead, 2}}, false, 0);
  refused(ErrorCode::kInvalidArgument, "L3.MLP", {{3, Kind::kMlp, 0}}, true, 0);
  refused(ErrorCode::kInvalidArgument, "twice", {{0, Kind::kMlp, 0}, {0, Kind::kMlp, 0}}, true, 0);
  refused(ErrorCode::kInvalidArgument, "twice", {{1, Kind::kHead, 0}, {1, Kind::kLayer, 0}}, false,
          1);
  refused(ErrorCode::kInvalidArgument, "at most", {{1, Kind::kHead, 0}}, false, 1e9);
  refused(ErrorCode::kInvalidArgument, "at most", {{1, Kind::kHead, 0}}, false,
          std::numeric_limits<double>::quiet_NaN());
  ExpectIs(live, Targets("L2.H1"), true, 0);

  ExpectError(ErrorCode::kInvalidArgument, "9 numbers",
              [&] { LiveEdit(store_, UnitRows(4, 9, 1), 1); });
  const Store without = Decomposed("pictures", "without", 7, /*stats_only=*/true);
  ExpectError(ErrorCode::kPrecondition, "without", [&] { LiveEdit(without, classifier_, 1); });
}

}  // namespace
}  // namespace cliplens
