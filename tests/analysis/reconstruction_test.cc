#include "cliplens/analysis/reconstruction.h"

#include <set>

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/random_texts.h"

namespace cliplens {
namespace {

// A head by the paper's procedure on every picture: mean and projection on the first texts.
struct ReferenceHead {
  std::vector<Index> texts;
  std::vector<Matrix> kept;  // [B, E] after 0, 1 … texts
  double variance = 0;       // Σ |c − mean c|²

  ReferenceHead(const Matrix& rows, Matrix pool, Index rank, Index count) {
    const Matrix v = EigenOfSymmetric(rows.transpose() * rows).vectors.leftCols(rank);
    pool = (pool * v * v.transpose()).eval();
    Matrix kept_now = Contributions::Mean(rows);
    Matrix rest = rows - kept_now;
    variance = rest.squaredNorm();
    kept.push_back(kept_now);
    for (Index k = 0; k < count; ++k) {
      Index best = 0;
      const Matrix scores = rest * pool.transpose();
      scores.colwise().squaredNorm().maxCoeff(&best);
      const Vector t = pool.row(best).transpose().normalized();
      texts.push_back(best);
      const Matrix part = rest * t * t.transpose();
      kept_now += part;
      kept.push_back(kept_now);
      rest -= part;
      pool = (pool - pool * t * t.transpose()).eval();
    }
  }
};

class ReconstructionTest : public LabelledStore {
 protected:
  ReconstructionResult Run(const Store& store, const ReconstructionOptions& options) const {
    return Reconstruct(store, texts_, classifier_, labels_, options);
  }

  void ExpectRow(const ReconstructionRow& row, const Matrix& attention,
                 const Contributions& c) const {
    const Matrix mlps = Contributions::Sum(c.mlps);
    EXPECT_DOUBLE_EQ(row.accuracy.value, Measure(attention + mlps, labels_).accuracy) << row.count;
    EXPECT_DOUBLE_EQ(row.accuracy_alone.value,
                     Measure(attention + Contributions::Mean(mlps), labels_).accuracy)
        << row.count;
  }

  static void ExpectSame(const ReconstructionRow& a, const ReconstructionRow& b) {
    for (const auto& [x, y] :
         {std::pair{a.accuracy, b.accuracy}, std::pair{a.accuracy_alone, b.accuracy_alone}}) {
      EXPECT_EQ(x.value, y.value) << a.count;
      EXPECT_EQ(x.low, y.low) << a.count;
      EXPECT_EQ(x.high, y.high) << a.count;
    }
    EXPECT_EQ(a.distinct_texts, b.distinct_texts) << a.count;
    EXPECT_EQ(a.explained, b.explained) << a.count;
  }

  Array<float, 2> texts_ = UnitRows(30, 10, 11);
};

TEST_F(ReconstructionTest, EqualsThePapersProcedureOnEveryPicture) {
  WriteRandomPictures(path("many"), 120, 22);
  labels_ = SomeLabels(120);
  const Store store = Decomposed("many", "store", 50);
  const Contributions c(store);
  for (const Index rank : {Index{0}, Index{5}}) {
    for (const Index layers : {1, 2, 3}) {
      const ReconstructionResult r =
          Run(store, {.counts = {1, 2, 4}, .layers = layers, .rank = rank, .threads = 2});
      EXPECT_EQ(r.images, 103);
      EXPECT_EQ(r.heads, 2 * layers);
      Matrix early = Matrix::Zero(120, 10);
      Matrix whole = early;
      std::vector<ReferenceHead> heads;
      for (std::size_t i = 0; i < c.heads.size(); ++i) {
        if (static_cast<Index>(i) < 2 * (3 - layers)) {
          early += Contributions::Mean(c.heads[i]);
          continue;
        }
        heads.emplace_back(c.heads[i], AsEigen(texts_.view()).cast<double>(), rank == 0 ? 9 : rank,
                           4);
        whole += c.heads[i];
      }
      const auto attention = [&](std::size_t texts) {
        Matrix sum = early;
        for (const ReferenceHead& head : heads) sum += head.kept[texts];
        return sum;
      };
      ExpectRow(r.nothing, attention(0), c);
      ExpectRow(r.whole, early + whole, c);
      ASSERT_EQ(r.rows.size(), 3u);
      for (const ReconstructionRow& row : r.rows) {
        const auto n = ToSize(row.count);
        ExpectRow(row, attention(n), c);
        std::set<Index> distinct;
        double kept = 0, variance = 0;
        for (const ReferenceHead& head : heads) {
          distinct.insert(head.texts.begin(), head.texts.begin() + row.count);
          kept += (head.kept[n] - head.kept[0]).squaredNorm();
          variance += head.variance;
        }
        EXPECT_EQ(row.distinct_texts, static_cast<Index>(distinct.size())) << row.count;
        EXPECT_NEAR(row.explained, kept / variance, 1e-8) << row.count;
      }
    }
  }
}

TEST_F(ReconstructionTest, MoreTextsThanRankAreTheWholeHead) {
  const Store store = Decomposed("pictures", "store");
  const ReconstructionResult r = Run(store, {.counts = {9, 25, 1000}, .layers = 3});
  for (const ReconstructionRow& row : r.rows) {
    EXPECT_EQ(row.accuracy.value, r.whole.accuracy.value) << row.count;
    EXPECT_EQ(row.accuracy_alone.value, r.whole.accuracy_alone.value) << row.count;
    EXPECT_NEAR(row.explained, 1.0, 1e-8) << row.count;
    EXPECT_EQ(row.distinct_texts, r.rows[0].distinct_texts);
  }
}

TEST_F(ReconstructionTest, OneTextAndTextsThatEncodeEqual) {
  const Store store = Decomposed("pictures", "store");
  const Array<float, 2> pool = texts_;
  texts_ = Array<float, 2>({1, 10});
  AsEigen(texts_.view()).row(0) = AsEigen(pool.view()).row(3);
  const ReconstructionResult one = Run(store, {.counts = {1, 5}, .layers = 2});
  EXPECT_EQ(one.rows[0].distinct_texts, 1);
  texts_ = Array<float, 2>({4, 10});
  AsEigen(texts_.view()).rowwise() = AsEigen(pool.view()).row(3);
  const ReconstructionResult equal = Run(store, {.counts = {1, 5}, .layers = 2});
  for (std::size_t k = 0; k < 2; ++k) {
    ExpectSame(one.rows[k], equal.rows[k]);
    ExpectSame(one.rows[0], one.rows[k]);
  }
}

TEST_F(ReconstructionTest, HeadsWithoutVarianceHaveNoTexts) {
  WriteEqualPictures("equal", 4);
  const Store store = Decomposed("equal", "store");
  labels_ = {0, 1, 2, 3};
  const ReconstructionResult r = Run(store, {.counts = {2}, .layers = 2});
  EXPECT_EQ(r.rows[0].distinct_texts, 0);
  EXPECT_EQ(r.rows[0].explained, 0.0);
  EXPECT_EQ(r.rows[0].accuracy.value, 0.25);
  EXPECT_EQ(r.nothing.accuracy.value, 0.25);
  EXPECT_EQ(r.whole.accuracy.value, 0.25);
}

TEST_F(ReconstructionTest, TwoPicturesSpanOneDirection) {
  WriteRandomPictures(path("two"), 2, 24);
  const Store store = Decomposed("two", "store");
  labels_ = {0, 1};
  const ReconstructionResult r = Run(store, {.counts = {1, 2}, .layers = 3});
  EXPECT_GT(r.rows[0].explained, 0.01);
  EXPECT_NEAR(r.rows[1].explained, 1.0, 1e-6);  // contributions about zero span two
}

TEST_F(ReconstructionTest, TheSameForAnyNumberOfThreads) {
  WriteRandomPictures(path("many"), 150, 22);
  labels_ = SomeLabels(150);
  const Store whole = Decomposed("many", "whole");
  const Store shards = Decomposed("many", "shards", 37);
  const auto run = [&](const Store& store, int threads) {
    return Run(store, {.counts = {1, 3}, .layers = 2, .threads = threads});
  };
  const ReconstructionResult one = run(whole, 1);
  for (const ReconstructionResult& other : {run(whole, 2), run(whole, 3)}) {
    ExpectSame(one.nothing, other.nothing);
    ExpectSame(one.whole, other.whole);
    for (std::size_t k = 0; k < 2; ++k) ExpectSame(one.rows[k], other.rows[k]);
  }
  // Statistics are summed shard by shard, so other shards may differ in the last bits.
  const ReconstructionResult parts = run(shards, 2);
  for (std::size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(one.rows[k].accuracy.value, parts.rows[k].accuracy.value);
    EXPECT_EQ(one.rows[k].distinct_texts, parts.rows[k].distinct_texts);
    EXPECT_NEAR(one.rows[k].explained, parts.rows[k].explained, 1e-12);
  }
}

TEST_F(ReconstructionTest, BadArgumentsAreErrors) {
  const Store store = Decomposed("pictures", "store");
  const auto expect = [&](ErrorCode code, const std::string& words, const Store& of,
                          const ReconstructionOptions& options) {
    ExpectError(code, words, [&] { Run(of, options); });
  };
  for (const std::vector<Index>& counts : {std::vector<Index>{}, {0, 5}, {5, 5}, {5, 3}, {-1}}) {
    expect(ErrorCode::kInvalidArgument, "must ascend", store, {.counts = counts, .layers = 1});
  }
  expect(ErrorCode::kInvalidArgument, "the last 4 layers of 3", store, {.counts = {1}});
  expect(ErrorCode::kInvalidArgument, "the last 0 layers", store, {.counts = {1}, .layers = 0});
  const Store statistics = Decomposed("pictures", "statistics", kShardImages, true);
  expect(ErrorCode::kPrecondition, "statistics only", statistics, {.counts = {1}, .layers = 1});
  texts_ = Array<float, 2>({0, 10});
  expect(ErrorCode::kInvalidArgument, "no texts", store, {.counts = {1}, .layers = 1});
  texts_ = UnitRows(3, 11, 1);
  expect(ErrorCode::kInvalidArgument, "texts of width 11", store, {.counts = {1}, .layers = 1});
  texts_ = UnitRows(3, 10, 1);
  classifier_ = UnitRows(kClasses, 11, 1);
  expect(ErrorCode::kInvalidArgument, "[4, 11] for an embedding of 10", store,
         {.counts = {1}, .layers = 1});
  classifier_ = UnitRows(kClasses, 10, 1);
  labels_.push_back(0);
  expect(ErrorCode::kInvalidArgument, "21 labels", store, {.counts = {1}, .layers = 1});
  WriteRandomPictures(path("one"), 1, 24);
  labels_ = {0};
  expect(ErrorCode::kPrecondition, "decompose at least two", Decomposed("one", "single"),
         {.counts = {1}, .layers = 1});
}

}  // namespace
}  // namespace cliplens
