#include "cliplens/analysis/groups.h"

#include <algorithm>
#include <set>

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include <gtest/gtest.h>

#include "cliplens/base/component.h"

namespace cliplens {
namespace {

class GroupsTest : public LabelledStore {
 protected:
  GroupsTest() : store_(Decomposed("pictures", "store", 7)) {
    groups_.classes = labels_;
    for (Index b = 0; b < kImages; ++b) groups_.attributes.push_back(b % 5 == 4 ? -1 : b % 2);
    groups_.num_classes = kClasses;
    groups_.num_attributes = 2;
  }

  Edit MeanEdit(const std::string& heads, const Statistics& means) const {
    return MakeMeanEdit(store_.info(), store_.basis(), means, ParseComponents(heads, {3, 2}));
  }
  Edit MeanEdit(const std::string& heads) const { return MeanEdit(heads, store_.statistics()); }

  GroupResult Run(const std::vector<GroupVariant>& variants, int threads = 2) const {
    return EvaluateGroups(store_, classifier_, groups_, variants, {.threads = threads});
  }

  // Accuracy of representations [B, E] in a group.
  double Accuracy(const Matrix& rows, Index c, Index a) const {
    std::vector<Index> labels = labels_;
    for (std::size_t b = 0; b < labels.size(); ++b) {
      if (groups_.classes[b] != c || groups_.attributes[b] != a) labels[b] = -1;
    }
    return Measure(rows, labels).accuracy;
  }

  Store store_;
  PictureGroups groups_;
};

TEST_F(GroupsTest, EveryRowEqualsThatOfContributions) {
  const Contributions c(store_);
  const Edit edit = MeanEdit("L2.H1,L0,L1.MLP");
  Edit scaled = MakeScaleEdit(store_.info(), store_.basis(), -3, ParseComponents("L2", {3, 2}));
  const GroupResult r = Run({{"base", {}}, {"edit", edit}, {"scaled", scaled}});
  const auto change = [](const Matrix& m) { return Matrix(Contributions::Mean(m) - m); };
  const Matrix base = AsEigen(store_.ReadEmbeddings().view()).cast<double>();
  const std::vector<Matrix> rows = {
      base, base + change(c.heads[5]) + change(c.heads[0]) + change(c.heads[1]) + change(c.mlps[2]),
      base - 4 * (c.heads[4] + c.heads[5])};
  ASSERT_EQ(r.rows.size(), 3u);
  bool differ = false;
  for (std::size_t v = 0; v < rows.size(); ++v) {
    double worst = 1;
    double right = 0;
    double mean = 0;
    double all = 0;
    for (const GroupFigures& g : r.rows[v].groups) {
      const double accuracy = Accuracy(rows[v], g.class_index, g.attribute);
      EXPECT_DOUBLE_EQ(g.accuracy.value, accuracy);
      worst = std::min(worst, accuracy);
      right += accuracy * static_cast<double>(g.count);
      all += static_cast<double>(g.count);
      mean += accuracy / static_cast<double>(r.rows[v].groups.size());
    }
    EXPECT_DOUBLE_EQ(r.rows[v].worst.value, worst);
    EXPECT_NEAR(r.rows[v].average.value, right / all, 1e-12);
    EXPECT_NEAR(r.rows[v].group_mean.value, mean, 1e-12);
    EXPECT_LE(r.rows[v].average.low, r.rows[v].average.value);
    EXPECT_GE(r.rows[v].average.high, r.rows[v].average.value);
    EXPECT_EQ(all, static_cast<double>(r.images));
    differ |= r.rows[v].average.value != r.rows[0].average.value;
  }
  EXPECT_TRUE(differ);
  const GroupResult one = Run({{"base", {}}, {"edit", edit}, {"scaled", scaled}}, 1);
  for (std::size_t v = 0; v < rows.size(); ++v) {
    EXPECT_EQ(one.rows[v].average.low, r.rows[v].average.low);
  }
}

TEST_F(GroupsTest, EmptyGroupsAreNamed) {
  for (std::size_t b = 0; b < groups_.classes.size(); ++b) {
    if (groups_.classes[b] == 2) groups_.attributes[b] = 0;
  }
  std::vector<std::pair<Index, Index>> empty;
  for (Index c = 0; c < kClasses; ++c) {
    for (Index a = 0; a < 2; ++a) {
      bool there = false;
      for (std::size_t b = 0; b < groups_.classes.size(); ++b) {
        there |= groups_.classes[b] == c && groups_.attributes[b] == a;
      }
      if (!there) empty.emplace_back(c, a);
    }
  }
  const GroupResult r = Run({{"base", {}}});
  EXPECT_NE(std::ranges::find(r.empty_groups, std::make_pair(Index{2}, Index{1})),
            r.empty_groups.end());
  EXPECT_EQ(r.empty_groups, empty);
  EXPECT_EQ(r.rows[0].groups.size(), 8 - empty.size());
}

TEST_F(GroupsTest, RandomHeadsComeFromTheSameLayersInTheSameNumber) {
  const Edit edit = MeanEdit("L0.H0,L2.H1,L1.MLP");
  const std::vector<Edit> draws = RandomEdits(edit, store_.basis(), store_.statistics(), 20, 1);
  ASSERT_EQ(draws.size(), 20u);
  std::set<std::string> seen;
  for (const Edit& draw : draws) {
    ASSERT_EQ(draw.components.size(), 3u);
    EXPECT_EQ(draw.components[0].target.layer, 0);
    EXPECT_EQ(NameOf(draw.components[1].target), "L1.MLP");
    EXPECT_EQ(draw.components[2].target.layer, 2);
    for (const EditComponent& c : draw.components) {
      const Edit own = MeanEdit(NameOf(c.target));
      EXPECT_EQ(c.constant, own.components[0].constant);
    }
    seen.insert(draw.Names());
  }
  EXPECT_EQ(seen.size(), 4u);  // 2 x 2 heads
  EXPECT_EQ(RandomEdits(edit, store_.basis(), store_.statistics(), 1, 1)[0].Names(),
            draws[0].Names());
  EXPECT_TRUE(RandomEdits(MeanEdit("L1"), store_.basis(), store_.statistics(), 5, 1).empty());
}

TEST_F(GroupsTest, MeansOfAnotherStoreLieApart) {
  WriteRandomPictures(path("others"), 9, 40);
  const Store others = Decomposed("others", "other");
  const Edit own = MeanEdit("L2.H1");
  const Edit other = WithMeans(own, store_.basis(), others.statistics());
  EXPECT_EQ(other.components[0].constant,
            MeanEdit("L2.H1", others.statistics()).components[0].constant);
  EXPECT_LE(DistanceOfMeans(own, store_.basis(), store_.statistics()), 1e-6);
  const Contributions c(store_);
  const Matrix& head = c.heads[5];
  const double apart =
      (Contributions(others).heads[5].colwise().mean() - head.colwise().mean()).squaredNorm();
  const double variance = (head - Contributions::Mean(head)).squaredNorm() / kImages;
  EXPECT_NEAR(DistanceOfMeans(other, store_.basis(), store_.statistics()),
              std::sqrt(apart / variance), 1e-4);
}

TEST_F(GroupsTest, WhatDoesNotFitIsRefused) {
  groups_.classes.pop_back();
  ExpectError(ErrorCode::kInvalidArgument, "19 classes for 20", [&] { (void)Run({{"base", {}}}); });
  groups_.classes.push_back(-1);
  groups_.num_attributes = 2000;
  ExpectError(ErrorCode::kInvalidArgument, "more than 4096", [&] { (void)Run({{"base", {}}}); });
  groups_.num_attributes = 2;
  std::ranges::fill(groups_.attributes, -1);
  ExpectError(ErrorCode::kInvalidArgument, "no picture", [&] { (void)Run({{"base", {}}}); });
}

// Spec test 7: the paper's heads of L/14, the counts of Waterbirds' test set, the worst group.
TEST(Groups, TheWaterbirdsTable) {
  const std::string heads =
      "L21.H1,L22.H12,L22.H13,L21.H11,L21.H14,L23.H6,L21.H3,L21.H6,L21.H8,L21.H13,L22.H2,L22.H12,"
      "L22.H15,L23.H1,L23.H3,L23.H5";
  EXPECT_EQ(std::ranges::count(heads, ','), 15);
  EXPECT_EQ(ParseComponents(heads, {24, 16}).size(), 15u);

  PlantedStore planted;
  planted.images = 5794;
  const TemporaryDirectory directory;
  const Store store = planted.Write(directory.path() / "store");
  const Index counts[] = {2255, 2255, 642, 642};
  PictureGroups groups;
  groups.num_classes = groups.num_attributes = 2;
  for (Index g = 0; g < 4; ++g) {
    groups.classes.insert(groups.classes.end(), ToSize(counts[g]), g / 2);
    groups.attributes.insert(groups.attributes.end(), ToSize(counts[g]), g % 2);
  }
  Array<float, 2> classifier({2, PlantedStore::kEmbedWidth});
  classifier(0, 0) = classifier(1, 1) = 1;
  const GroupResult r =
      EvaluateGroups(store, classifier, groups, std::vector<GroupVariant>{{"base", {}}}, {});
  ASSERT_EQ(r.rows[0].groups.size(), 4u);
  double worst = 1;
  for (std::size_t g = 0; g < 4; ++g) {
    EXPECT_EQ(r.rows[0].groups[g].count, counts[g]);
    worst = std::min(worst, r.rows[0].groups[g].accuracy.value);
  }
  EXPECT_EQ(r.images, 5794);
  EXPECT_EQ(r.rows[0].worst.value, worst);
  EXPECT_LE(r.rows[0].worst.low, worst);
}

}  // namespace
}  // namespace cliplens
