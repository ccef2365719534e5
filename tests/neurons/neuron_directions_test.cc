// Directions of neurons, held against a plain singular value decomposition of their effects.
#include "cliplens/neurons/neuron_directions.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

constexpr Index kPictures = 40;

// Random coefficients on random paths: two later layers of two heads of three numbers.
struct Planted {
  explicit Planted(std::uint64_t seed = 3) : random(seed) {
    std::vector<Matrix> values;
    std::vector<Matrix> writes;
    for (int at = 0; at < 2; ++at) {
      values.push_back(Random(5, 6));
      writes.push_back(Random(6, 8));
    }
    paths.emplace(/*layer=*/1, /*heads=*/2, values, writes, 0.1 * Random(11, 8));
    alpha = Array<float, 3>({5, kPictures, 4});
    for (float& v : alpha.flat()) v = static_cast<float>(normal(random));
    factors.pictures = kPictures;
    factors.shared = Array<float, 2>({kPictures, 11});
    for (float& v : factors.shared.flat()) v = static_cast<float>(normal(random));
    factors.alpha = [this](Index first, Index count) {
      Array<float, 3> out({count, alpha.dim(1), alpha.dim(2)});
      for (Index n = 0; n < count; ++n) {
        std::ranges::copy(alpha.view()[first + n].flat(), out.view()[n].data());
      }
      return out;
    };
  }
  Matrix Random(Index rows, Index columns) {
    Matrix m(rows, columns);
    for (Index i = 0; i < m.size(); ++i) m.data()[i] = normal(random);
    return m;
  }
  NeuronDirections Directions(Index top, int threads = 1) {
    ProgressCount progress({}, 5);
    return DirectionsOf(*paths, factors, top, threads, progress);
  }
  // φ̃ [pictures, E], in full.
  Matrix Effects(Index n) const {
    Matrix effects = AsEigen(alpha.view()[n]).cast<double>() * paths->Directions(n) +
                     AsEigen(factors.shared.view()).cast<double>() * paths->shared();
    const RowVector mean = effects.colwise().mean();
    effects.rowwise() -= mean;
    return effects;
  }

  std::mt19937_64 random;
  std::normal_distribution<double> normal;
  std::optional<NeuronPaths> paths;
  Array<float, 3> alpha;
  NeuronFactors factors;
};

Vector RowAsVector(std::span<const float> row) {
  return Eigen::Map<const Eigen::VectorXf>(row.data(), std::ssize(row)).cast<double>();
}

// Test 5 of the specification of neurons; of a tie of signs below.
TEST(NeuronDirections, AreTheSingularVectorsOfTheEffects) {
  Planted planted;
  constexpr Index kTop = 7;
  const NeuronDirections found = planted.Directions(kTop);
  for (Index n = 0; n < 5; ++n) {
    const Matrix effects = planted.Effects(n);
    std::vector<Index> order(kPictures);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, std::greater<>(), [&](Index i) { return effects.row(i).norm(); });
    Matrix most(kTop, 8);
    for (Index i = 0; i < kTop; ++i) {
      most.row(i) = effects.row(At(order, i));
      EXPECT_EQ(found.top_pictures(n, i), At(order, i));
      EXPECT_NEAR(found.top_norm(n, i), most.row(i).norm(), 1e-5);
    }
    EXPECT_EQ(found.threshold(n), found.top_norm(n, kTop - 1));
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(most, Eigen::ComputeThinV);
    Vector first = svd.matrixV().col(0);
    if (((most * first).array() > 0).count() <= kTop / 2) first = -first;
    EXPECT_GT(RowAsVector(found.top.row(n)).dot(first), 1 - 1e-6) << n;
    const double squares = svd.singularValues().squaredNorm();
    EXPECT_NEAR(At(found.top_explained, n),
                svd.singularValues()[0] * svd.singularValues()[0] / squares, 1e-6);
    for (Index i = 0; i < kTop; ++i) {
      EXPECT_NEAR(found.top_along(n, i), most.row(i) * first, 1e-5);
    }
    const Eigen::JacobiSVD<Eigen::MatrixXd> of_all(effects, Eigen::ComputeThinV);
    EXPECT_GT(std::abs(RowAsVector(found.all.row(n)).dot(of_all.matrixV().col(0))), 1 - 1e-6);
    EXPECT_NEAR(At(found.variance, n), effects.squaredNorm() / kPictures, 1e-5);
    EXPECT_NEAR(At(found.all_explained, n) * effects.squaredNorm(),
                of_all.singularValues()[0] * of_all.singularValues()[0], 1e-3);
    const Matrix again = CentredEffects(*planted.paths, found, n, planted.alpha.view()[n],
                                        planted.factors.shared.view());
    EXPECT_LT((again - effects).norm(), 1e-12 * effects.norm() + 1e-10);
  }
}

// Shares of the variance by channel, and of the constants, add up to one.
TEST(NeuronDirections, ChannelsShareTheVariance) {
  Planted planted;
  const NeuronDirections found = planted.Directions(5);
  for (Index n = 0; n < 5; ++n) {
    const Matrix effects = planted.Effects(n);
    const Matrix directions = planted.paths->Directions(n);
    for (Index j = 0; j < 4; ++j) {
      Vector own = AsEigen(planted.alpha.view()[n]).col(j).cast<double>();
      own.array() -= own.mean();
      const double share =
          (own * directions.row(j)).cwiseProduct(effects).sum() / effects.squaredNorm();
      EXPECT_NEAR(found.channel_share(n, j), share, 1e-6);
    }
  }
}

// Test 5: as many pictures along as against, the direction whose largest number is negative.
TEST(NeuronDirections, ATieOfSignsTurnsTheDirection) {
  Planted planted;
  for (float& v : planted.factors.shared.flat()) v = 0;
  for (Index i = 0; i < kPictures; ++i) {
    for (Index j = 0; j < 4; ++j) {
      planted.alpha(0, i, j) = j == 1 ? (i % 2 == 0 ? 1.0f : -1.0f) : 0.0f;
      planted.alpha(1, i, j) = j == 1 ? (i % 4 == 0 ? 3.0f : -1.0f) : 0.0f;
    }
  }
  const NeuronDirections found = planted.Directions(4);
  const RowVector tied = planted.paths->Directions(0).row(1).normalized();
  Index largest = 0;
  tied.cwiseAbs().maxCoeff(&largest);
  EXPECT_LT(found.top(0, largest), 0);
  EXPECT_GT(std::abs(RowAsVector(found.top.row(0)).dot(tied.transpose())), 1 - 1e-6);
  // The pictures of largest effect agree: along them, whatever the sign of the rest.
  const RowVector clear = planted.paths->Directions(1).row(1).normalized();
  EXPECT_GT(RowAsVector(found.top.row(1)).dot(clear.transpose()), 1 - 1e-6);
  for (Index i = 0; i < 4; ++i) EXPECT_GT(found.top_along(1, i), 0);
  // Pictures of equal effect: lower numbers first.
  EXPECT_EQ(found.top_pictures(0, 0), 0);
  EXPECT_EQ(found.top_pictures(0, 3), 3);
}

TEST(NeuronDirections, ANeuronWithoutEffectHasNone) {
  Planted planted;
  for (float& v : planted.factors.shared.flat()) v = 1;  // κ is the same everywhere
  for (Index i = 0; i < kPictures; ++i) {
    for (Index j = 0; j < 4; ++j) planted.alpha(2, i, j) = 0.5f;
  }
  const NeuronDirections found = planted.Directions(4);
  EXPECT_EQ(RowAsVector(found.top.row(2)).norm(), 0);
  EXPECT_EQ(At(found.top_explained, 2), 0);
  EXPECT_EQ(At(found.variance, 2), 0);
}

TEST(NeuronDirections, DoNotDependOnThreads) {
  Planted planted;
  const NeuronDirections one = planted.Directions(6, 1);
  const NeuronDirections three = planted.Directions(6, 3);
  EXPECT_TRUE(std::ranges::equal(one.top.flat(), three.top.flat()));
  EXPECT_TRUE(std::ranges::equal(one.channel_share.flat(), three.channel_share.flat()));
}

TEST(NeuronDirections, NeedTwoPicturesAndTakeAllWhereFewerAreThere) {
  Planted planted;
  EXPECT_EQ(planted.Directions(100).top_norm.dim(1), kPictures);
  ExpectError(ErrorCode::kInvalidArgument, "ask for one or more",
              [&] { (void)planted.Directions(0); });
  planted.factors.pictures = 1;
  ExpectError(ErrorCode::kPrecondition, "varies over two", [&] { (void)planted.Directions(1); });
}

}  // namespace
}  // namespace cliplens
