#include "cliplens/analysis/group_share.h"

#include <algorithm>
#include <cmath>

#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

HeadRows Rows(Matrix y) {
  HeadRows rows;
  rows.y = std::move(y);
  rows.y.rowwise() -= rows.y.colwise().mean().eval();
  rows.total = rows.y.squaredNorm();
  return rows;
}

// Two groups of three numbers, 1 2 3 and 5 6 7: of the total 28 the groups' means explain 24.
HeadRows TwoGroups() {
  Matrix y(6, 1);
  y << 1, 2, 3, 5, 6, 7;
  return Rows(y);
}
const Grouping kHalves = {2, {0, 0, 0, 1, 1, 1}};

TEST(GroupShare, TheHandExample) {
  // η² = 24/28; corrected 1 − (4/4)/(28/5) = 23/28.
  EXPECT_DOUBLE_EQ(ShareOf(TwoGroups(), kHalves), 23.0 / 28.0);
  EXPECT_DOUBLE_EQ(CorrectedShare(28, 24, 6, 2), 23.0 / 28.0);
}

TEST(GroupShare, GroupsThatExplainNothingHaveANegativeShare) {
  // Both means are the mean of all: 1 − (28/4)/(28/5) = −1/4.
  Matrix y(6, 1);
  y << 1, 7, 4, 2, 6, 4;
  EXPECT_DOUBLE_EQ(ShareOf(Rows(y), kHalves), -0.25);
}

TEST(GroupShare, GroupsWithoutPicturesDoNotCount) {
  EXPECT_DOUBLE_EQ(ShareOf(TwoGroups(), {5, {3, 3, 3, 1, 1, 1}}), 23.0 / 28.0);
}

TEST(GroupShare, IsZeroWhereItCannotBeKnown) {
  EXPECT_EQ(ShareOf(TwoGroups(), {6, {0, 1, 2, 3, 4, 5}}), 0);  // a group for each picture
  EXPECT_EQ(ShareOf(Rows(Matrix::Ones(4, 2)), {2, {0, 0, 1, 1}}), 0);
  EXPECT_EQ(ShareOf(Rows(Matrix::Ones(1, 2)), {2, {0}}), 0);
}

TEST(GroupShare, WhatIsLeftWithinGroupsHasTheMeansTakenOut) {
  const HeadRows within = Within(TwoGroups(), kHalves);
  EXPECT_DOUBLE_EQ(within.total, 4);
  EXPECT_DOUBLE_EQ(within.y(0, 0), -1);
  EXPECT_DOUBLE_EQ(within.y(5, 0), 1);
}

TEST(GroupShare, SlicesAddUpToAll) {
  const std::vector<std::int32_t> slice = {0, 1, 2, 0, 1, 2};
  const SlicedShare sliced(TwoGroups(), kHalves, slice, 3);
  EXPECT_NEAR(sliced.Share({true, true, true}), 23.0 / 28.0, 1e-12);
  // Without the last slice 1 2 | 5 6: total 17, within 1: 1 − (1/2)/(17/3).
  EXPECT_NEAR(sliced.Share({true, true, false}), 1 - 0.5 / (17.0 / 3.0), 1e-12);
  EXPECT_EQ(sliced.Share({false, false, false}), 0);
}

TEST(GroupShare, BoundsAreTheJackknifes) {
  const std::vector<std::int32_t> slice = {0, 1, 2, 0, 1, 2};
  const SlicedShare sliced(TwoGroups(), kHalves, slice, 3);
  const double a = sliced.Share({false, true, true});
  const double b = sliced.Share({true, false, true});
  const double c = sliced.Share({true, true, false});
  const double mean = (a + b + c) / 3;
  const double error = std::sqrt(
      2.0 / 3.0 * ((a - mean) * (a - mean) + (b - mean) * (b - mean) + (c - mean) * (c - mean)));
  const Estimate e = sliced.Jackknife();
  EXPECT_NEAR(e.value, 23.0 / 28.0, 1e-12);
  EXPECT_NEAR(e.low, e.value - 1.96 * error, 1e-12);
  EXPECT_NEAR(e.high, e.value + 1.96 * error, 1e-12);
  // One slice says nothing about the spread.
  const Estimate one =
      SlicedShare(TwoGroups(), kHalves, std::vector<std::int32_t>(6, 1), 3).Jackknife();
  EXPECT_EQ(one.low, one.value);
}

TEST(GroupShare, RowsOfAHeadKeepTheContributionsProducts) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{.images = 12}.Write(directory.path() / "store");
  const std::vector<Index> some = {1, 4, 5, 9};
  const Array<float, 2> ln = store.ReadLn(some);
  const HeadRows rows = ReadHeadRows(store, {0, 1}, ln, some);
  // Here contributions are z itself.
  const Array<float, 2> z = store.ReadHead({0, 1});
  Matrix c(4, z.dim(1));
  for (Index i = 0; i < 4; ++i) {
    for (Index k = 0; k < z.dim(1); ++k) {
      c(i, k) = static_cast<double>(z.row(At(some, i))[k]);
    }
  }
  c.rowwise() -= c.colwise().mean().eval();
  EXPECT_NEAR((rows.y * rows.y.transpose() - c * c.transpose()).norm(), 0, 1e-6);
  EXPECT_NEAR(rows.total, c.squaredNorm(), 1e-6);
  EXPECT_EQ(ReadHeadRows(store, {0, 4}, ln, some).total, 0);  // equal rows: rounding is no variance
}

}  // namespace
}  // namespace cliplens
