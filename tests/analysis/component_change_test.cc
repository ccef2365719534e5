#include "cliplens/analysis/component_change.h"

#include "tests/analysis/labelled_store.h"
#include "tests/analysis/plain_cka.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/variance.h"
#include "cliplens/base/intervals.h"

namespace cliplens {
namespace {

Matrix Centred(Matrix x) {
  x.rowwise() -= x.colwise().mean().eval();
  return x;
}

Matrix WithoutRow(const Matrix& x, Index row) {
  Matrix rest(x.rows() - 1, x.cols());
  rest << x.topRows(row), x.bottomRows(x.rows() - row - 1);
  return rest;
}

double PlainShare(const Matrix& c, const Matrix& e) {
  return Centred(c).cwiseProduct(Centred(e)).sum() / Centred(e).squaredNorm();
}

void ExpectNear(const std::optional<Estimate>& got, const Estimate& wanted, double tolerance) {
  ASSERT_TRUE(got);
  EXPECT_NEAR(got->value, wanted.value, tolerance);
  EXPECT_NEAR(got->low, wanted.low, tolerance);
  EXPECT_NEAR(got->high, wanted.high, tolerance);
}

class ComponentChangeTest : public LabelledStore {
 protected:
  ComponentChangeTest() : a_(Decomposed("pictures", "a", 7)) {}

  Store OfModel(const RandomModel& model, const std::string& name, bool stats_only = false) const {
    model.Write(path(name + "-model"));
    DecomposeOptions options;
    options.out = path(name);
    options.shard_images = 5;
    options.stats_only = stats_only;
    Decompose(ClipModel::Load(path(name + "-model")), *OpenImageSet(path("pictures")), options);
    return Store::Open(path(name));
  }

  Store a_;
};

TEST_F(ComponentChangeTest, EqualsTheDefinitionOnContributions) {
  const Store b = OfModel({.seed = 2}, "b");
  const Contributions of_a(a_), of_b(b);
  const Matrix e_a = of_a.All(), e_b = of_b.All();
  const StoreChange change = CompareComponents(a_, b, {.threads = 2});
  EXPECT_EQ(change.common, kImages);
  EXPECT_EQ(change.images, kImages);
  EXPECT_EQ(change.blocks, kImages);
  const auto heads = static_cast<Index>(of_a.heads.size());
  ASSERT_EQ(std::ssize(change.components), heads + std::ssize(of_a.mlps));
  for (Index i = 0; i < std::ssize(change.components); ++i) {
    const ComponentChange& c = At(change.components, i);
    const Matrix& x = i < heads ? At(of_a.heads, i) : At(of_a.mlps, i - heads);
    const Matrix& y = i < heads ? At(of_b.heads, i) : At(of_b.mlps, i - heads);
    std::vector<double> a, b_shares, difference, cka;
    for (Index row = 0; row < kImages; ++row) {
      a.push_back(PlainShare(WithoutRow(x, row), WithoutRow(e_a, row)));
      b_shares.push_back(PlainShare(WithoutRow(y, row), WithoutRow(e_b, row)));
      difference.push_back(b_shares.back() - a.back());
      cka.push_back(PlainCka(WithoutRow(x, row), WithoutRow(y, row)));
    }
    const double share_a = PlainShare(x, e_a), share_b = PlainShare(y, e_b);
    ExpectNear(c.share_a, *Jackknife(share_a, a), 1e-5);
    ExpectNear(c.share_b, *Jackknife(share_b, b_shares), 1e-5);
    ExpectNear(c.share_change, *Jackknife(share_b - share_a, difference), 1e-5);
    EXPECT_EQ(c.similarity.has_value(), i < heads);
    if (i < heads) ExpectNear(c.similarity, *JackknifeCorrelation(PlainCka(x, y), cka), 1e-5);
  }
  const StoreChange one = CompareComponents(a_, b, {.threads = 1});
  for (std::size_t i = 0; i < one.components.size(); ++i) {
    EXPECT_EQ(one.components[i].share_change->high, change.components[i].share_change->high);
  }
}

TEST_F(ComponentChangeTest, AStoreAndItselfDoNotDiffer) {
  const StoreChange change = CompareComponents(a_, a_, {.threads = 2});
  EXPECT_EQ(change.similarity->low, 1);
  for (const ComponentChange& c : change.components) {
    for (const double v : {c.share_change->value, c.share_change->low, c.share_change->high}) {
      EXPECT_EQ(v, 0);
    }
    if (!c.id.is_head()) continue;
    EXPECT_EQ(c.similarity->value, 1);
    EXPECT_EQ(c.similarity->low, 1);
    EXPECT_EQ(c.similarity->high, 1);
  }
}

TEST_F(ComponentChangeTest, StatisticsGiveTheSharesOfTheWholeSet) {
  const Store b = OfModel({.seed = 2}, "b");
  const Store b_statistics = OfModel({.seed = 2}, "b-statistics", /*stats_only=*/true);
  const StoreChange change = CompareComponents(a_, b_statistics, {});
  EXPECT_TRUE(change.from_statistics);
  EXPECT_FALSE(change.similarity);
  const std::vector<ComponentShare> shares_a = ComponentShares(a_.statistics(), a_.basis());
  const std::vector<ComponentShare> shares_b = ComponentShares(b.statistics(), b.basis());
  for (std::size_t i = 0; i < change.components.size(); ++i) {
    const ComponentChange& c = change.components[i];
    EXPECT_FALSE(c.similarity);
    EXPECT_NEAR(c.share_a->value, shares_a[i].share, 1e-9);
    EXPECT_NEAR(c.share_b->value, shares_b[i].share, 1e-9);
    EXPECT_NEAR(c.share_change->value, shares_b[i].share - shares_a[i].share, 1e-9);
    EXPECT_LT(c.share_change->low, c.share_change->value);
  }
}

TEST_F(ComponentChangeTest, FewPicturesHaveFewFigures) {
  for (const Index most : {1, 2, 3, 4, 5}) {
    // Every n-th of 20, so that exactly `most` are left.
    const StoreChange change = CompareComponents(a_, a_, {.most_images = most});
    EXPECT_EQ(change.images, most);
    EXPECT_EQ(change.components[0].share_change.has_value(), most >= 3);
    EXPECT_EQ(change.components[0].similarity.has_value(), most >= 5);
  }
  WriteEqualPictures("equal", 8);
  const Store equal = Decomposed("equal", "equal-store");
  const StoreChange change = CompareComponents(equal, equal, {});
  EXPECT_FALSE(change.similarity);
  EXPECT_FALSE(change.components[0].similarity);
  EXPECT_FALSE(change.components[0].share_a);
}

TEST_F(ComponentChangeTest, WhatCannotBeComparedIsRefused) {
  const Store wide = OfModel({.embed_width = 9, .layers = 2, .width = 12, .heads = 2}, "wide");
  ExpectError(ErrorCode::kInvalidArgument, "models of one shape",
              [&] { CompareComponents(a_, wide, {}); });
  WriteEqualPictures("equal", 3);
  const Store other = Decomposed("equal", "other");
  ExpectError(ErrorCode::kInvalidArgument, "no picture of the same path",
              [&] { CompareComponents(a_, other, {}); });
  const Store statistics = Decomposed("equal", "statistics", 7, /*stats_only=*/true);
  ExpectError(ErrorCode::kInvalidArgument, "without --stats-only",
              [&] { CompareComponents(a_, statistics, {}); });
}

}  // namespace
}  // namespace cliplens
