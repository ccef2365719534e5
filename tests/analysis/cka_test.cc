#include "cliplens/analysis/cka.h"

#include <random>

#include "tests/analysis/plain_cka.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

Matrix Normal(Index rows, Index columns, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  Matrix m(rows, columns);
  for (Index i = 0; i < m.size(); ++i) m.data()[i] = normal(random);
  return m;
}

// Heads that are turned and scaled have CKA 1; independent ones have 0 on average, where the plain
// figure is far above.
TEST(DebiasedCkaTest, IsUnbiasedAndItsBoundsHold) {
  std::mt19937_64 random(3);
  const Matrix turn = OrthonormalColumns(Normal(12, 12, random));
  double mean = 0;
  int held = 0;
  constexpr int kDraws = 200;
  const double noise = 0.7;
  // ‖A‖² / (‖I‖ ‖I + noise² I‖) of the covariances of x and x turn + noise.
  const double truth = 1 / (1 + noise * noise);
  for (int draw = 0; draw < kDraws; ++draw) {
    const Matrix x = Normal(30, 12, random), y = Normal(30, 12, random);
    mean += DebiasedCka(x, y, 30)->value / kDraws;
    const Estimate near = *DebiasedCka(x, x * turn + noise * y, 30);
    held += near.low <= truth && truth <= near.high ? 1 : 0;
    if (draw > 0) continue;
    EXPECT_NEAR(DebiasedCka(x, -3 * x * turn, 30)->low, 1, 1e-9);
    EXPECT_NEAR(near.value, PlainCka(x, x * turn + noise * y), 1e-9);
    const Matrix far = (x.array() + 5).matrix();  // about another mean
    EXPECT_NEAR(DebiasedCka(far, x * turn + noise * y, 30)->value, near.value, 1e-9);
    const Matrix four = x.topRows(4);
    EXPECT_FALSE(DebiasedCka(four, four, 4));
    EXPECT_FALSE(DebiasedCka(Matrix::Ones(9, 3), Matrix::Ones(9, 3), 9));
  }
  EXPECT_NEAR(mean, 0, 0.02);
  EXPECT_GE(held, kDraws * 90 / 100);
  ExpectError(ErrorCode::kInvalidArgument, "3 and 4 rows",
              [] { DebiasedCka(Matrix::Ones(3, 1), Matrix::Ones(4, 1), 2); });
}

// The form of all heads at once is the same estimator.
TEST(DebiasedCkaTest, UCentredGramMatricesGiveTheSame) {
  std::mt19937_64 random(4);
  for (const Index n : {5, 9, 30}) {
    const auto centred = [&](Index width) {
      Matrix x = Normal(n, width, random);
      x.rowwise() -= x.colwise().mean().eval();
      return x;
    };
    const Matrix x = centred(6), y = centred(4);
    const auto gram = [&](const Matrix& rows) {
      const std::vector<double> offsets = GramOffsets(rows.cast<float>());
      Matrix k = rows * rows.transpose();
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) k(i, j) = i == j ? 0 : k(i, j) + offsets[i] + offsets[j];
      }
      EXPECT_NEAR(k.rowwise().sum().norm(), 0, 1e-4);
      return k;
    };
    const Matrix k = gram(x), l = gram(y);
    const double pairs = static_cast<double>(n) * static_cast<double>(n - 3);
    EXPECT_NEAR(k.cwiseProduct(l).sum() / pairs, PlainHsic(x, y), 1e-5);
    EXPECT_NEAR(k.cwiseProduct(l).sum() / (k.norm() * l.norm()), DebiasedCka(x, y, n)->value, 1e-6);
  }
}

}  // namespace
}  // namespace cliplens
