#include "cliplens/analysis/ablation.h"

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class AblationTest : public LabelledStore {
 protected:
  AblationResult Run(const Store& store, int threads = 2) const {
    return Ablate(store, store.statistics(), classifier_, labels_, {.threads = threads});
  }

  static void ExpectSame(const Estimate& a, const Estimate& b, const std::string& what) {
    EXPECT_EQ(a.value, b.value) << what;
    EXPECT_EQ(a.low, b.low) << what;
    EXPECT_EQ(a.high, b.high) << what;
  }
  static void ExpectSame(const AblationResult& a, const AblationResult& b) {
    EXPECT_EQ(a.images, b.images);
    const auto rows = [](const std::vector<AblationRow>& x, const std::vector<AblationRow>& y) {
      ASSERT_EQ(x.size(), y.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(x[i].name, y[i].name);
        ExpectSame(x[i].accuracy, y[i].accuracy, x[i].name);
        ExpectSame(x[i].score, y[i].score, x[i].name);
      }
    };
    rows(a.rows, b.rows);
    rows(a.cumulative, b.cumulative);
    rows(a.last_only, b.last_only);
    ASSERT_EQ(a.components.size(), b.components.size());
    for (std::size_t i = 0; i < a.components.size(); ++i) {
      ExpectSame(a.components[i].accuracy_lost, b.components[i].accuracy_lost, "accuracy");
      ExpectSame(a.components[i].score_lost, b.components[i].score_lost, "score");
    }
  }

  void ExpectRow(const AblationRow& row, const Matrix& representations) const {
    const Measured m = Measure(representations, labels_);
    EXPECT_DOUBLE_EQ(row.accuracy.value, m.accuracy) << row.name;
    EXPECT_NEAR(row.score.value, m.score, 1e-9) << row.name;
    EXPECT_LE(row.score.low, row.score.value) << row.name;
    EXPECT_LE(row.score.value, row.score.high) << row.name;
  }

  // Every figure against sums of contributions in E numbers; `means` as the same of another set.
  void ExpectAll(const AblationResult& r, const Contributions& c, const Contributions& means) {
    const Index images = c.heads[0].rows();
    const auto mean = [&](const Matrix& rows) {
      return Matrix(rows.colwise().mean().replicate(images, 1));
    };
    const std::size_t layers = c.cls.size();
    const std::size_t per_layer = c.heads.size() / layers;
    const Matrix all = c.All();
    const Matrix mlps = mean(Contributions::Sum(means.mlps)) - Contributions::Sum(c.mlps);
    const Matrix cls = mean(Contributions::Sum(means.cls)) - Contributions::Sum(c.cls);
    ASSERT_EQ(r.rows.size(), 4u);
    ExpectRow(r.rows[0], all);
    ExpectRow(r.rows[1], all + mlps);
    ExpectRow(r.rows[2], all + cls);
    ExpectRow(r.rows[3], all + mlps + cls);
    ASSERT_EQ(r.cumulative.size(), layers + 1);
    ASSERT_EQ(r.last_only.size(), layers + 1);
    Matrix change = Matrix::Zero(images, all.cols());
    for (std::size_t k = 0; k <= layers; ++k) {
      ExpectRow(r.cumulative[k], all + change);
      ExpectRow(r.last_only[layers - k], all + mlps + change);
      for (std::size_t h = 0; k < layers && h < per_layer; ++h) {
        const std::size_t i = k * per_layer + h;
        change += mean(means.heads[i]) - c.heads[i];
      }
    }
    ASSERT_EQ(r.components.size(), c.heads.size() + c.mlps.size());
    const Measured base = Measure(all, labels_);
    for (std::size_t i = 0; i < r.components.size(); ++i) {
      const bool head = i < c.heads.size();
      const Matrix& own = head ? c.heads[i] : c.mlps[i - c.heads.size()];
      const Matrix& other = head ? means.heads[i] : means.mlps[i - c.heads.size()];
      const Measured m = Measure(all - own + mean(other), labels_);
      EXPECT_NEAR(r.components[i].accuracy_lost.value, base.accuracy - m.accuracy, 1e-12) << i;
      EXPECT_NEAR(r.components[i].score_lost.value, base.score - m.score, 1e-9) << i;
    }
  }
};

TEST_F(AblationTest, EveryFigureEqualsThatOfContributions) {
  const Store store = Decomposed("pictures", "store", 7);
  const AblationResult r = Run(store);
  EXPECT_EQ(r.images, 17);  // pictures without a label are not counted
  const Contributions c(store);
  ExpectAll(r, c, c);
  EXPECT_EQ(r.components.front().component, "L0.H0");
  EXPECT_EQ(r.components[6].component, "INPUT");
  EXPECT_EQ(r.components.back().component, "L2.MLP");
}

TEST_F(AblationTest, MeansOfAnotherStoreStandIn) {
  const Store store = Decomposed("pictures", "store");
  WriteRandomPictures(path("others"), 9, 40);
  const Store others = Decomposed("others", "other");
  const Store statistics = Decomposed("others", "statistics", kShardImages, true);
  const AblationResult r = Ablate(store, others.statistics(), classifier_, labels_, {});
  ExpectAll(r, Contributions(store), Contributions(others));
  ExpectSame(r, Ablate(store, statistics.statistics(), classifier_, labels_, {}));
  EXPECT_NE(r.rows[1].score.value, Run(store).rows[1].score.value);
}

TEST_F(AblationTest, TheCurvesEndInTheRows) {
  const Store store = Decomposed("pictures", "store");
  const AblationResult r = Run(store);
  ExpectSame(r.cumulative[0].accuracy, r.rows[0].accuracy, "nothing replaced");
  ExpectSame(r.cumulative[0].score, r.rows[0].score, "nothing replaced");
  ExpectSame(r.last_only[3].accuracy, r.rows[1].accuracy, "all attention kept");
  ExpectSame(r.last_only[3].score, r.rows[1].score, "all attention kept");
  // Everything replaced: every picture gets the class of the mean embedding, so accuracy is that
  // class's share of the labels; and what single components lose of the score adds up to this.
  const Matrix mean = Contributions(store).All().colwise().mean();
  Index best = 0;
  (mean * AsEigen(classifier_.view()).cast<double>().transpose()).row(0).maxCoeff(&best);
  EXPECT_DOUBLE_EQ(r.last_only[0].accuracy.value,
                   static_cast<double>(std::ranges::count(labels_, best)) / 17);
  double lost = 0;
  for (const ComponentAblation& c : r.components) lost += c.score_lost.value;
  EXPECT_NEAR(lost, r.rows[0].score.value - r.last_only[0].score.value, 1e-9);
  EXPECT_GT(std::abs(lost), 1e-4);
}

TEST_F(AblationTest, OnOnePictureNothingChanges) {
  WriteRandomPictures(path("one"), 1, 24);
  const Store store = Decomposed("one", "store");
  labels_ = {2};
  const AblationResult r = Run(store);
  EXPECT_EQ(r.images, 1);
  for (const auto* rows : {&r.rows, &r.cumulative, &r.last_only}) {
    for (const AblationRow& row : *rows) {
      EXPECT_EQ(row.accuracy.value, r.rows[0].accuracy.value) << row.name;
      EXPECT_NEAR(row.score.value, r.rows[0].score.value, 1e-9) << row.name;
      EXPECT_EQ(row.score.low, row.score.high) << row.name;
    }
  }
  for (const ComponentAblation& c : r.components) {
    EXPECT_EQ(c.accuracy_lost.value, 0.0);
    EXPECT_NEAR(c.score_lost.value, 0.0, 1e-9);
  }
}

TEST_F(AblationTest, EqualPicturesLoseNothing) {
  WriteEqualPictures("equal", 5);
  const Store store = Decomposed("equal", "store");
  labels_ = {0, 1, 2, 3, 0};
  const AblationResult r = Run(store);
  for (const AblationRow& row : r.last_only) {
    EXPECT_EQ(row.accuracy.value, r.rows[0].accuracy.value) << row.name;
    EXPECT_NEAR(row.score.value, r.rows[0].score.value, 1e-9) << row.name;
  }
}

TEST_F(AblationTest, ATieGoesToTheLowerClass) {
  const Store store = Decomposed("pictures", "store");
  // Every class twice, the second far behind the first, so that each is computed elsewhere in a
  // vector of the processor: the second is never the best.
  const Array<float, 2> rows = UnitRows(21, 10, 9);
  classifier_ = Array<float, 2>({42, 10});
  AsEigen(classifier_.view()).topRows(21) = AsEigen(rows.view());
  AsEigen(classifier_.view()).bottomRows(21) = AsEigen(rows.view());
  for (std::size_t b = 0; b < labels_.size(); ++b) labels_[b] = static_cast<Index>(b);
  const AblationResult low = Run(store);
  for (Index& label : labels_) label += 21;
  const AblationResult high = Run(store);
  for (const auto& [a, b] :
       {std::pair{&low.rows, &high.rows}, std::pair{&low.cumulative, &high.cumulative},
        std::pair{&low.last_only, &high.last_only}}) {
    for (std::size_t i = 0; i < a->size(); ++i) {
      EXPECT_EQ((*a)[i].score.value, (*b)[i].score.value);
      EXPECT_EQ((*b)[i].accuracy.value, 0.0);
    }
  }
}

TEST_F(AblationTest, WithOneClassEveryAnswerIsRight) {
  const Store store = Decomposed("pictures", "store");
  classifier_ = UnitRows(1, 10, 3);
  for (Index& label : labels_) label = std::min<Index>(label, 0);
  const AblationResult r = Run(store);
  for (const AblationRow& row : r.cumulative) EXPECT_EQ(row.accuracy.low, 1.0);
  for (const ComponentAblation& c : r.components) EXPECT_EQ(c.accuracy_lost.high, 0.0);
}

TEST_F(AblationTest, TheSameForAnyNumberOfThreads) {
  WriteRandomPictures(path("many"), 150, 22);
  labels_ = SomeLabels(150);
  const Store whole = Decomposed("many", "whole");
  const Store shards = Decomposed("many", "shards", 37);
  const AblationResult one = Run(whole, 1);
  ExpectSame(one, Run(whole, 2));
  ExpectSame(one, Run(whole, 3));
  // Statistics are summed shard by shard, so other shards may differ in the last bits of the means.
  const AblationResult other = Run(shards, 2);
  for (std::size_t i = 0; i < one.components.size(); ++i) {
    ExpectSame(one.components[i].accuracy_lost, other.components[i].accuracy_lost, "accuracy");
    EXPECT_NEAR(one.components[i].score_lost.value, other.components[i].score_lost.value, 1e-12);
    EXPECT_NEAR(one.components[i].score_lost.low, other.components[i].score_lost.low, 1e-12);
  }
}

TEST_F(AblationTest, BadArgumentsAreErrors) {
  const Store store = Decomposed("pictures", "store");
  const std::vector<Index> good = labels_;
  labels_.pop_back();
  ExpectError(ErrorCode::kInvalidArgument, "19 labels for 20 pictures", [&] { Run(store); });
  labels_ = good;
  labels_[2] = kClasses;
  ExpectError(ErrorCode::kInvalidArgument, "outside of the 4 classes", [&] { Run(store); });
  labels_[2] = -2;
  ExpectError(ErrorCode::kInvalidArgument, "outside of the 4 classes", [&] { Run(store); });
  labels_.assign(kImages, -1);
  ExpectError(ErrorCode::kInvalidArgument, "no picture has a label", [&] { Run(store); });
  labels_ = good;
  const Store statistics = Decomposed("pictures", "statistics", kShardImages, true);
  ExpectError(ErrorCode::kPrecondition, "statistics only", [&] { Run(statistics); });
  ExpectError(ErrorCode::kPrecondition, "statistics only", [&] { statistics.ReadShard(0); });
  ExpectError(ErrorCode::kPrecondition, "means of no picture", [&] {
    Statistics none(StatisticsSums(FactorSizes{3, 2, {6, 3}, 10}, 8), store.basis());
    Ablate(store, none, classifier_, labels_, {});
  });
  RandomModel{.layers = 2}.Write(path("model"));
  model_.emplace(ClipModel::Load(path("model")));
  const Store smaller = Decomposed("pictures", "smaller");
  ExpectError(ErrorCode::kInvalidArgument, "means of 2 x 2 heads",
              [&] { Ablate(store, smaller.statistics(), classifier_, labels_, {}); });
  classifier_ = UnitRows(kClasses, 11, 1);
  ExpectError(ErrorCode::kInvalidArgument, "[4, 11] for an embedding of 10", [&] { Run(store); });
  classifier_ = Array<float, 2>({0, 10});
  ExpectError(ErrorCode::kInvalidArgument, "outside of the 0 classes", [&] { Run(store); });
}

}  // namespace
}  // namespace cliplens
