#include "cliplens/base/linear_algebra.h"

#include <limits>
#include <random>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/base/index.h"

namespace cliplens {
namespace {

Matrix RandomMatrix(Index rows, Index columns, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Matrix a(rows, columns);
  for (Index i = 0; i < a.size(); ++i) a.data()[i] = normal(random);
  return a;
}

TEST(SingularDirections, AreThoseOfTheProduct) {
  struct Sizes {
    Index m, k, n;
  };
  // Also where the product is narrower than its factors.
  for (const auto& [m, k, n] : {Sizes{20, 6, 11}, {6, 6, 6}, {30, 9, 4}, {5, 9, 12}}) {
    const Matrix a = RandomMatrix(m, k, 1);
    const Matrix b = RandomMatrix(k, n, 2);
    const SingularDirections found = SingularDirectionsOf(a, b);
    const Eigen::JacobiSVD<Eigen::MatrixXd> whole(a * b);
    const Index r = std::min({m, k, n});
    ASSERT_EQ(found.values.size(), r);
    EXPECT_LT((found.values - whole.singularValues().head(r)).norm(), 1e-12 * found.values[0]);
    EXPECT_LT((found.left * found.values.asDiagonal() * found.right.transpose() - a * b).norm(),
              1e-12 * found.values[0]);
    EXPECT_LT((found.left.transpose() * found.left - Matrix::Identity(r, r)).norm(), 1e-12);
    EXPECT_LT((found.right.transpose() * found.right - Matrix::Identity(r, r)).norm(), 1e-12);
  }
}

TEST(SingularDirections, NumbersThatAreNotFiniteAreRefused) {
  Matrix a = RandomMatrix(5, 2, 1);
  a(3, 1) = std::numeric_limits<double>::quiet_NaN();
  ExpectError(ErrorCode::kUnsupported, "finite",
              [&] { SingularDirectionsOf(a, RandomMatrix(2, 4, 2)); });
}

// The least residual over all supports, each solved without constraints.
double LeastOverSupports(const Matrix& rows, const Vector& x) {
  double least = x.norm();
  for (unsigned support = 1; support < 1u << rows.rows(); ++support) {
    std::vector<Index> used;
    for (Index i = 0; i < rows.rows(); ++i) {
      if ((support >> i & 1u) != 0) used.push_back(i);
    }
    const Eigen::MatrixXd columns = Matrix(rows(used, Eigen::all)).transpose();
    const Vector w = columns.colPivHouseholderQr().solve(x);
    if ((w.array() >= 0).all()) least = std::min(least, (x - columns * w).norm());
  }
  return least;
}

TEST(NonNegativeLeastSquares, IsTheBestOfAllSupports) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Matrix rows = RandomMatrix(7, 6, 10 + seed);
    const Vector x = RandomMatrix(1, 6, 1000 + seed).row(0).transpose();
    const Vector w = NonNegativeLeastSquares(rows * rows.transpose(), rows * x);
    EXPECT_GE(w.minCoeff(), 0);
    EXPECT_NEAR((x - rows.transpose() * w).norm(), LeastOverSupports(rows, x), 1e-9) << seed;
  }
}

TEST(NonNegativeLeastSquares, RowsThatDependOnOthersGetNothing) {
  Matrix rows(4, 3);
  rows << 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0;  // the first doubled; the sum of the first two
  const Vector w = NonNegativeLeastSquares(rows * rows.transpose(), rows * Vector{{2.0, 3.0, 1.0}});
  EXPECT_LT((rows.transpose() * w - Vector{{2.0, 3.0, 0.0}}).norm(), 1e-12);
  EXPECT_LE((w.array() > 0).count(), 2);
  EXPECT_EQ(NonNegativeLeastSquares(rows * rows.transpose(), rows * Vector{{-1.0, -1.0, 5.0}}),
            Vector(Vector::Zero(4)));
  EXPECT_EQ(NonNegativeLeastSquares(Matrix(0, 0), Vector()).size(), 0);
}

}  // namespace
}  // namespace cliplens
