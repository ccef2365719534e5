#include "cliplens/analysis/text_span.h"

#include <cmath>
#include <cstdlib>
#include <random>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

// A head whose factor is its contribution: B is the identity.
Array<float, 2> Identity(Index n) {
  Array<float, 2> b({n, n});
  for (Index i = 0; i < n; ++i) b(i, i) = 1.0f;
  return b;
}

Moments MomentsOf(const Matrix& rows) {
  Moments moments(rows.cols());
  moments.Add(rows);
  return moments;
}

Array<float, 2> Texts(const Matrix& rows) {
  Array<float, 2> texts({rows.rows(), rows.cols()});
  AsEigen(texts.view()) = rows.cast<float>();
  return texts;
}

// P1's procedure word for word, in fp64: contributions [B, E], texts [M, E].
struct Reference {
  std::vector<Index> texts;
  std::vector<double> shares;
};
Reference ReferenceSpan(Matrix x, Matrix texts, Index rank, Index count) {
  const SymmetricEigen second = EigenOfSymmetric(x.transpose() * x);
  const Matrix v = second.vectors.leftCols(rank);
  texts = texts * v * v.transpose();
  x = (x.rowwise() - x.colwise().mean()).eval();
  const double total = x.squaredNorm();
  Reference result;
  for (Index k = 0; k < count; ++k) {
    const Matrix scores = x * texts.transpose();
    Index best = 0;
    for (Index j = 1; j < texts.rows(); ++j) {
      if (scores.col(j).squaredNorm() > scores.col(best).squaredNorm()) best = j;
    }
    const Vector t = texts.row(best).transpose().normalized();
    result.texts.push_back(best);
    result.shares.push_back((x * t).squaredNorm() / total);
    x = (x - (x * t) * t.transpose()).eval();
    texts = (texts - (texts * t) * t.transpose()).eval();
  }
  return result;
}

TEST(TextSpan, TheHandExample) {
  Matrix x(4, 2);
  x << 2, 1, -2, 1, 0, 3, 0, -1;
  // The example's texts (1, 0), (.6, .8), (0, .5), all times five: exact in fp32, the same choices.
  Matrix texts(3, 2);
  texts << 5, 0, 3, 4, 0, 2.5;
  const TextSpanResult r = TextSpan(MomentsOf(x), Identity(2), Texts(texts), {.count = 3});
  EXPECT_EQ(r.rank, 2);
  EXPECT_NEAR(r.variance, 4.0, 1e-12);
  // Two directions explain all: a third text is refused.
  ASSERT_EQ(r.texts.size(), 2u);
  EXPECT_EQ(r.texts[0].index, 0);  // a tie of 2 and 2, to the lower index
  EXPECT_NEAR(r.texts[0].share, 0.5, 1e-7);
  EXPECT_EQ(r.texts[1].index, 1);
  EXPECT_NEAR(r.texts[1].share, 0.5, 1e-7);
  EXPECT_NEAR(r.texts[1].cumulative, 1.0, 1e-7);
  // The second direction is (0, 1) up to sign.
  EXPECT_NEAR(std::abs(r.texts[1].weight[1]), 1.0, 1e-6);
  EXPECT_NEAR(r.texts[1].weight[0], 0.0, 1e-6);
}

TEST(TextSpan, TextsAreNotNormalised) {
  Matrix x(4, 2);
  x << 2, 1, -2, 1, 0, 3, 0, -1;
  Matrix texts(3, 2);
  texts << 1, 0, 0.6, 0.8, 0, 2 * 0.9;
  const TextSpanResult r = TextSpan(MomentsOf(x), Identity(2), Texts(texts), {.count = 1});
  EXPECT_EQ(r.texts[0].index, 2);  // longer than the others, so it wins
}

class TextSpanRandom : public testing::Test {
 protected:
  // Factors with a falling spectrum and a mean, seen through a random basis.
  TextSpanRandom() {
    std::srand(7);
    u_ = Matrix::Random(400, kWidth);
    for (Index k = 0; k < kWidth; ++k) u_.col(k) *= std::pow(static_cast<double>(k + 1), -0.7);
    u_.rowwise() += Eigen::RowVectorXd::Random(kWidth) * 0.5;
    basis_ = Array<float, 2>({kWidth, kEmbed});
    AsEigen(basis_.view()) = Matrix::Random(kWidth, kEmbed).cast<float>();
    Matrix texts = Matrix::Random(300, kEmbed);
    texts.rowwise().normalize();
    texts_ = Texts(texts);
    contributions_ = u_ * AsEigen(basis_.view()).cast<double>();
  }

  static constexpr Index kWidth = 11;
  static constexpr Index kEmbed = 24;
  Matrix u_;
  Array<float, 2> basis_;
  Array<float, 2> texts_;
  Matrix contributions_;
};

TEST_F(TextSpanRandom, EqualsTheReferenceProcedure) {
  for (Index rank : {Index{0}, Index{5}, Index{8}, kWidth}) {
    const TextSpanResult r = TextSpan(MomentsOf(u_), basis_, texts_, {.count = 9, .rank = rank});
    EXPECT_EQ(r.rank, rank == 0 ? kWidth : rank);
    const auto count = static_cast<Index>(r.texts.size());
    ASSERT_GE(count, std::min<Index>(r.rank, 9));
    const Reference reference =
        ReferenceSpan(contributions_, AsEigen(texts_.view()).cast<double>(), r.rank, count);
    for (Index k = 0; k < count; ++k) {
      const auto at = ToSize(k);
      EXPECT_EQ(r.texts[at].index, reference.texts[at]) << rank << " " << k;
      EXPECT_NEAR(r.texts[at].share, reference.shares[at], 1e-9) << rank << " " << k;
    }
  }
}

TEST_F(TextSpanRandom, TheWholeRankExplainsAllAndThenStops) {
  const TextSpanResult r = TextSpan(MomentsOf(u_), basis_, texts_, {.count = 100});
  EXPECT_EQ(r.texts.size(), ToSize(kWidth));
  EXPECT_NEAR(r.texts.back().cumulative, 1.0, 1e-9);
}

TEST_F(TextSpanRandom, WeightsAreUnitDirections) {
  const TextSpanResult r = TextSpan(MomentsOf(u_), basis_, texts_, {.count = 4});
  for (const SpanText& t : r.texts) {
    // Variance of the scores along the direction is the share it explains.
    Vector scores = u_ * t.weight;
    scores.array() -= scores.mean();
    EXPECT_NEAR(scores.squaredNorm() / 400 / r.variance, t.share, 1e-9);
  }
}

TEST_F(TextSpanRandom, OrderOfImagesAndPartsDoNotMatter) {
  const TextSpanResult whole = TextSpan(MomentsOf(u_), basis_, texts_, {.count = 8});
  Moments merged(kWidth);
  for (Index part = 3; part >= 0; --part) merged.Merge(MomentsOf(u_.middleRows(part * 100, 100)));
  const TextSpanResult parts = TextSpan(merged, basis_, texts_, {.count = 8});
  for (std::size_t k = 0; k < 8; ++k) EXPECT_EQ(whole.texts[k].index, parts.texts[k].index);
}

TEST_F(TextSpanRandom, DuplicateTextsAndOneText) {
  Matrix two(2, kEmbed);
  two.row(0) = AsEigen(texts_.view()).row(3).cast<double>();
  two.row(1) = two.row(0);
  const TextSpanResult r = TextSpan(MomentsOf(u_), basis_, Texts(two), {.count = 5});
  ASSERT_EQ(r.texts.size(), 1u);
  EXPECT_EQ(r.texts[0].index, 0);
}

TEST_F(TextSpanRandom, AHeadWithoutVarianceHasNoTexts) {
  Matrix constant(5, kWidth);
  constant.rowwise() = u_.row(0);
  const TextSpanResult r = TextSpan(MomentsOf(constant), basis_, texts_, {.count = 5});
  EXPECT_TRUE(r.texts.empty());
  EXPECT_LT(r.variance, 1e-20);
}

TEST_F(TextSpanRandom, BadArgumentsAreErrors) {
  ExpectError(ErrorCode::kPrecondition, "decompose at least two",
              [&] { TextSpan(MomentsOf(u_.topRows(1)), basis_, texts_, {}); });
  ExpectError(ErrorCode::kInvalidArgument, "no texts", [&] {
    TextSpan(MomentsOf(u_), basis_, Array<float, 2>({0, kEmbed}), {});
  });
  ExpectError(ErrorCode::kInvalidArgument, "texts of width 3", [&] {
    TextSpan(MomentsOf(u_), basis_, Array<float, 2>({2, 3}), {});
  });
  ExpectError(ErrorCode::kInvalidArgument, "count 0",
              [&] { TextSpan(MomentsOf(u_), basis_, texts_, {.count = 0}); });
}

// Random rows in six directions of falling variance, and texts along random directions.
struct HeldOutCase {
  static constexpr Index kWidth = 6;
  std::mt19937_64 random{7};

  Matrix Normal(Index rows, Index columns) {
    std::normal_distribution<double> normal;
    Matrix m(rows, columns);
    for (Index i = 0; i < m.size(); ++i) m.data()[i] = normal(random);
    return m;
  }
  Matrix Rows(Index count) {
    Matrix rows = Normal(count, kWidth);
    for (Index k = 0; k < kWidth; ++k) rows.col(k) *= std::pow(0.8, static_cast<double>(k));
    return (rows.array() + 0.5).matrix();
  }
  static std::vector<Moments> Slices(const Matrix& rows, Index slices) {
    std::vector<Moments> moments(ToSize(slices), Moments(kWidth));
    for (Index i = 0; i < rows.rows(); ++i) At(moments, i % slices).Add(rows.row(i));
    return moments;
  }
};

TEST(HeldOutShares, AreThoseOfTextsChosenOnTheOtherSlices) {
  HeldOutCase some;
  const Matrix rows = some.Rows(11);
  const Matrix texts = some.Normal(20, HeldOutCase::kWidth);
  constexpr Index kSlices = 3, kCount = 4;
  const std::vector<double> got = HeldOutShares(HeldOutCase::Slices(rows, kSlices), Identity(6),
                                                Texts(texts), {.count = kCount});
  std::vector<double> wanted(kCount, 0.0);
  double total = 0;
  for (Index out = 0; out < kSlices; ++out) {
    Matrix rest(0, 6), held(0, 6);
    for (Index i = 0; i < rows.rows(); ++i) {
      Matrix& to = i % kSlices == out ? held : rest;
      to.conservativeResize(to.rows() + 1, Eigen::NoChange);
      to.row(to.rows() - 1) = rows.row(i);
    }
    const TextSpanResult chosen =
        TextSpan(MomentsOf(rest), Identity(6), Texts(texts), {.count = kCount});
    const Matrix deviations = held.rowwise() - rest.colwise().mean();
    total += deviations.squaredNorm();
    double sum = 0;
    for (std::size_t t = 0; t < wanted.size(); ++t) {
      sum += (deviations * chosen.texts[t].weight).squaredNorm();
      wanted[t] += sum;
    }
  }
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t t = 0; t < wanted.size(); ++t) EXPECT_NEAR(got[t], wanted[t] / total, 1e-6);
}

// Two texts of many seem to explain more of eight pictures than they do of others; the held-out
// share does not. On many pictures both agree.
TEST(HeldOutShares, AreNotTooHighOnFewPictures) {
  HeldOutCase some;
  const Matrix texts = some.Normal(200, HeldOutCase::kWidth);
  const Matrix fresh = some.Rows(20'000);
  const Matrix deviations = fresh.rowwise() - fresh.colwise().mean();
  constexpr int kDraws = 60;
  double said = 0, held = 0, truth = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const std::vector<Moments> slices = HeldOutCase::Slices(some.Rows(8), 8);
    Moments all(HeldOutCase::kWidth);
    for (const Moments& slice : slices) all.Merge(slice);
    const TextSpanResult r = TextSpan(all, Identity(6), Texts(texts), {.count = 2});
    said += r.texts[1].cumulative / kDraws;
    held += HeldOutShares(slices, Identity(6), Texts(texts), {.count = 2})[1] / kDraws;
    for (const SpanText& text : r.texts) {
      truth += (deviations * text.weight).squaredNorm() / deviations.squaredNorm() / kDraws;
    }
  }
  EXPECT_GT(said, truth + 0.1);
  EXPECT_NEAR(held, truth, 0.05);

  const std::vector<Moments> slices = HeldOutCase::Slices(fresh, 8);
  const TextSpanResult r = TextSpan(MomentsOf(fresh), Identity(6), Texts(texts), {.count = 2});
  EXPECT_NEAR(HeldOutShares(slices, Identity(6), Texts(texts), {.count = 2})[1],
              r.texts[1].cumulative, 0.01);
}

TEST(HeldOutShares, NeedPicturesThatDiffer) {
  HeldOutCase some;
  const Array<float, 2> texts = Texts(some.Normal(9, HeldOutCase::kWidth));
  const auto shares = [&](const Matrix& rows, Index slices) {
    return HeldOutShares(HeldOutCase::Slices(rows, slices), Identity(6), texts, {.count = 2});
  };
  EXPECT_TRUE(shares(some.Rows(1), 8).empty());
  EXPECT_TRUE(shares(some.Rows(2), 8).empty());  // one is left
  EXPECT_TRUE(shares(some.Rows(9), 1).empty());  // all in one slice
  EXPECT_TRUE(shares(Matrix::Ones(9, 6), 8).empty());
  EXPECT_EQ(shares(some.Rows(3), 8).size(), 2u);
}

}  // namespace
}  // namespace cliplens
