#include "cliplens/analysis/random_texts.h"

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(RandomTexts, AreUnitRowsWithThePoolsSpectrumInOtherDirections) {
  // A narrow pool: one direction that all share, and a falling rest.
  Matrix rows = AsEigen(UnitRows(2000, 12, 3).view()).cast<double>();
  for (Index k = 0; k < 12; ++k) rows.col(k) *= std::pow(0.6, static_cast<double>(k));
  rows.col(0).array() += 2.0;
  rows.rowwise().normalize();
  Array<float, 2> pool({2000, 12});
  AsEigen(pool.view()) = rows.cast<float>();
  const Array<float, 2> random = RandomTexts(pool, 2000, 1);
  ASSERT_EQ(random.dim(0), 2000);
  ASSERT_EQ(random.dim(1), 12);
  const Matrix got = AsEigen(random.view()).cast<double>();
  EXPECT_LT((got.rowwise().norm().array() - 1).abs().maxCoeff(), 1e-6);
  const SymmetricEigen wanted = EigenOfSymmetric(rows.transpose() * rows / 2000);
  const SymmetricEigen found = EigenOfSymmetric(got.transpose() * got / 2000);
  EXPECT_GT(wanted.values[0], 0.9);
  // Made unit rows, they spread a little more than texts that all share a direction.
  EXPECT_NEAR(found.values[0], wanted.values[0], 0.15);
  EXPECT_LT(std::abs(found.vectors.col(0).dot(wanted.vectors.col(0))), 0.9);
}

TEST(RandomTexts, TheSameForTheSameSeed) {
  const Array<float, 2> pool = UnitRows(20, 6, 2);
  const auto values = [&](std::uint64_t seed) {
    return Matrix(AsEigen(RandomTexts(pool, 15, seed).view()).cast<double>());
  };
  EXPECT_EQ(values(1), values(1));
  EXPECT_GT((values(1) - values(2)).norm(), 1.0);
  EXPECT_EQ(RandomTexts(UnitRows(1, 6, 2), 3, 1).dim(0), 3);
  ExpectError(ErrorCode::kInvalidArgument, "no text", [] {
    RandomTexts(Array<float, 2>({0, 6}), 3, 1);
  });
}

TEST(TurnedTexts, LieToOneAnotherAsBeforeAndElsewhere) {
  const Array<float, 2> pool = UnitRows(20, 9, 2);
  const Array<float, 2> turned = TurnedTexts(pool, 1);
  const Matrix before = AsEigen(pool.view()).cast<double>();
  const Matrix after = AsEigen(turned.view()).cast<double>();
  EXPECT_LT((before * before.transpose() - after * after.transpose()).norm(), 1e-5);
  EXPECT_GT((before - after).norm(), 1.0);
  EXPECT_EQ(after, Matrix(AsEigen(TurnedTexts(pool, 1).view()).cast<double>()));
  EXPECT_GT((after - AsEigen(TurnedTexts(pool, 2).view()).cast<double>()).norm(), 1.0);
}

}  // namespace
}  // namespace cliplens
