#include "cliplens/decompose/statistics.h"

#include <cstdlib>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

Matrix MatrixFarFromZero(Index rows, Index cols, unsigned seed) {
  std::srand(seed);
  // Means away from zero: that is where one-pass formulas lose their digits.
  return Matrix::Random(rows, cols).array() + 100.0;
}

double Difference(const Matrix& a, const Matrix& b) {
  return (a - b).cwiseAbs().maxCoeff() / std::max(1e-300, a.cwiseAbs().maxCoeff());
}

TEST(Moments, PartsMergedEqualOnePass) {
  const Matrix rows = MatrixFarFromZero(500, 6, 1);
  Moments whole(6);
  whole.Add(rows);
  Moments merged(6);
  for (const auto& [begin, count] :
       {std::pair<Index, Index>{0, 1}, {1, 99}, {100, 0}, {100, 400}}) {
    Moments part(6);
    part.Add(rows.middleRows(begin, count));
    merged.Merge(part);
  }
  EXPECT_EQ(whole.count, merged.count);
  EXPECT_LT(Difference(whole.mean, merged.mean), 1e-12);
  EXPECT_LT(Difference(whole.scatter, merged.scatter), 1e-12);
  const Matrix centered = rows.rowwise() - rows.colwise().mean();
  EXPECT_LT(Difference(centered.transpose() * centered / 500, whole.Covariance()), 1e-12);
  EXPECT_LT(Difference(rows.transpose() * rows / 500, whole.SecondMoment()), 1e-12);
}

TEST(Moments, OneImageHasNoVariance) {
  Moments one(3);
  one.Add(MatrixFarFromZero(1, 3, 2));
  ExpectError(ErrorCode::kPrecondition, "decompose at least two", [&] { one.Covariance(); });
}

TEST(TraceMoments, EqualTheTraceOfMoments) {
  const Matrix rows = MatrixFarFromZero(64, 5, 3);
  Moments moments(5);
  moments.Add(rows);
  TraceMoments trace(5);
  trace.Add(rows.topRows(10));
  trace.Add(rows.bottomRows(54));
  EXPECT_NEAR(trace.trace, moments.scatter.trace(), 1e-9 * moments.scatter.trace());
}

TEST(SliceOf, DependsOnThePathAloneAndCoversAllSlices) {
  std::vector<int> counts(8);
  for (int i = 0; i < 800; ++i) {
    const std::string path = "pictures/" + std::to_string(i) + ".png";
    const Index slice = SliceOf(path, 8);
    EXPECT_EQ(slice, SliceOf(path, 8));
    At(counts, slice)++;
  }
  for (int n : counts) EXPECT_GT(n, 60);
}

}  // namespace
}  // namespace cliplens
