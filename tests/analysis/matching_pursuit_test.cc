#include "cliplens/analysis/matching_pursuit.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numbers>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/base/index.h"
#include "cliplens/io/json.h"
#include "cliplens/io/npy.h"

namespace cliplens {
namespace {

Array<float, 2> PoolOfTexts(Index texts, Index width, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Array<float, 2> rows({texts, width});
  for (Index i = 0; i < texts; ++i) {
    // A common part, and coordinates of different sizes, as the texts of a model have.
    for (Index e = 0; e < width; ++e) {
      rows(i, e) = 0.5f + normal(random) / static_cast<float>(1 + e % 5);
    }
    auto row = AsEigen(rows.view()).row(i);
    row /= row.norm();
  }
  return rows;
}

Matrix RandomTargets(Index targets, Index width, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Matrix rows(targets, width);
  for (Index i = 0; i < targets; ++i) {
    for (Index e = 0; e < width; ++e) rows(i, e) = normal(random);
    rows.row(i).normalize();
  }
  return rows;
}

// The two preparations by their definition, in fp64.
Matrix AtomsByHand(ArrayView<const float, 2> texts, TextScale scale) {
  Matrix rows(texts.dim(0), texts.dim(1));
  for (Index e = 0; e < rows.cols(); ++e) {
    double mean = 0;
    for (Index j = 0; j < rows.rows(); ++j) mean += double{texts(j, e)};
    mean /= static_cast<double>(rows.rows());
    for (Index j = 0; j < rows.rows(); ++j) rows(j, e) = double{texts(j, e)} - mean;
  }
  if (scale == TextScale::kUnit) {
    for (Index j = 0; j < rows.rows(); ++j) rows.row(j) /= rows.row(j).norm();
  } else {
    for (Index e = 0; e < rows.cols(); ++e) rows.col(e) /= rows.col(e).norm();
  }
  return rows;
}

struct PathByHand {
  std::vector<Index> texts;
  std::vector<Vector> weights;  // for each number of texts
  std::vector<double> squared_rest;
};
// Orthogonal matching pursuit word for word, by the normal equations of all texts chosen.
PathByHand PursueByHand(const Matrix& atoms, const Vector& t, Index count) {
  PathByHand path;
  Vector rest = t;
  while (std::ssize(path.texts) < count) {
    Index best = 0;
    const double most = (atoms * rest).cwiseAbs().maxCoeff(&best);
    if (most * most < std::numeric_limits<double>::epsilon()) break;
    path.texts.push_back(best);
    const Matrix chosen = atoms(path.texts, Eigen::all);
    path.weights.push_back((chosen * chosen.transpose()).ldlt().solve(chosen * t));
    rest = t - chosen.transpose() * path.weights.back();
    path.squared_rest.push_back(rest.squaredNorm());
  }
  return path;
}

void ExpectSame(const PursuitPath& path, const PathByHand& expected, double tolerance) {
  ASSERT_EQ(path.texts, expected.texts);
  for (Index n = 1; n <= path.size(); ++n) {
    const Vector weights = path.Coefficients(n);
    ASSERT_EQ(weights.size(), n);
    EXPECT_LT((weights - At(expected.weights, n - 1)).cwiseAbs().maxCoeff(), tolerance) << n;
    EXPECT_NEAR(At(path.squared_rest, n - 1), At(expected.squared_rest, n - 1), 1e-12) << n;
  }
}

bool SameBits(const PursuitPath& a, const PursuitPath& b) {
  return a.texts == b.texts && a.squared_rest == b.squared_rest && a.along == b.along &&
         a.factor == b.factor && a.squared_length == b.squared_length && a.end == b.end;
}

TEST(MatchingPursuit, IsTheDefinition) {
  const Array<float, 2> texts = PoolOfTexts(700, 48, 1);  // more than one tile
  const Matrix targets = RandomTargets(140, 48, 2);       // more than one chunk
  for (const TextScale scale : {TextScale::kUnit, TextScale::kReference}) {
    const PursuitAtoms atoms(texts, scale);
    const Matrix by_hand = AtomsByHand(texts, scale);
    ASSERT_LT((atoms.rows() - by_hand).cwiseAbs().maxCoeff(), 1e-14);
    const auto paths = MatchingPursuit(atoms, targets, {.count = 24});
    ASSERT_EQ(paths.size(), 140u);
    for (Index i = 0; i < 140; ++i) {
      const PursuitPath& path = At(paths, i);
      EXPECT_EQ(path.end, PursuitEnd::kCount);
      EXPECT_NEAR(path.squared_length, 1, 1e-14);
      ExpectSame(path, PursueByHand(by_hand, targets.row(i).transpose(), 24), 1e-10);
    }
  }
}

// Test 7 of the specification of neurons: texts in the same order and the same weights, in data
// that tests/parity/write_pursuit_cases.py wrote.
TEST(MatchingPursuit, IsThatOfScikitLearn) {
  const std::filesystem::path folder =
      std::filesystem::path(CLIPLENS_SOURCE_DIR) / "tests/data/pursuit";
  Index ended_early = 0;
  const Json cases = ReadJsonFile(folder / "cases.json");
  ASSERT_EQ(cases.size(), 6u);
  for (const Json& of_pool : cases) {
    const NpyArray pool = ReadNpy(folder / (of_pool.at("texts").get<std::string>() + ".npy"));
    const Index rows = of_pool.at("rows").get<Index>();
    const bool unit = of_pool.at("scale") == "unit";
    const PursuitAtoms atoms(ArrayView<const float, 2>(pool.values.data(), {rows, pool.shape[1]}),
                             unit ? TextScale::kUnit : TextScale::kReference);
    const auto targets = of_pool.at("targets").get<std::vector<std::vector<double>>>();
    Matrix directions(std::ssize(targets), atoms.width());
    for (Index i = 0; i < directions.rows(); ++i) {
      directions.row(i) = Eigen::Map<const RowVector>(At(targets, i).data(), atoms.width());
    }
    const Index count = of_pool.at("count").get<Index>();
    const auto paths = MatchingPursuit(atoms, directions, {.count = count});
    for (Index i = 0; i < directions.rows(); ++i) {
      const PursuitPath& path = At(paths, i);
      const Json& expected = of_pool.at("paths").at(ToSize(i));
      ASSERT_EQ(path.texts, expected.at("texts").get<std::vector<Index>>()) << rows << " " << i;
      EXPECT_EQ(path.end == PursuitEnd::kCount, path.size() == count);
      ended_early += path.end != PursuitEnd::kCount;
      for (const char* const key : {"weights", "short"}) {
        const auto weights = expected.at(key).get<std::vector<double>>();
        const Vector found = path.Coefficients(std::ssize(weights));
        for (Index k = 0; k < found.size(); ++k) {
          EXPECT_NEAR(found[k], At(weights, k), 1e-11) << rows << " " << i << " " << k;
        }
      }
    }
  }
  EXPECT_EQ(ended_early, 18);  // all of the two pools of 20 texts, and sums of texts
}

// Test 7: the first texts of a long path are the short path, to the bit.
TEST(MatchingPursuit, AShortPathIsTheBeginningOfALongOne) {
  const PursuitAtoms atoms(PoolOfTexts(300, 40, 3));
  const Matrix targets = RandomTargets(5, 40, 4);
  const auto all = MatchingPursuit(atoms, targets, {.count = 30});
  for (const Index count : {1, 7, 29}) {
    const auto some = MatchingPursuit(atoms, targets, {.count = count});
    for (Index i = 0; i < 5; ++i) {
      const PursuitPath &a = At(some, i), &b = At(all, i);
      ASSERT_EQ(a.size(), count);
      EXPECT_TRUE(std::ranges::equal(a.texts, std::span(b.texts).first(ToSize(count))));
      EXPECT_TRUE(
          std::ranges::equal(a.squared_rest, std::span(b.squared_rest).first(ToSize(count))));
      EXPECT_EQ(a.Coefficients(count), b.Coefficients(count));
    }
  }
  EXPECT_EQ(all[0].Coefficients(0).size(), 0);
  EXPECT_EQ(all[0].Coefficients(1000), all[0].Coefficients(30));
  ExpectError(ErrorCode::kInvalidArgument, "at least 0", [&] { all[0].Coefficients(-1); });
}

TEST(MatchingPursuit, ThreadsAndOtherTargetsChangeNoBit) {
  const PursuitAtoms atoms(PoolOfTexts(1100, 33, 5));
  const Matrix targets = RandomTargets(150, 33, 6);
  const auto one = MatchingPursuit(atoms, targets, {.count = 20, .threads = 1});
  const auto two = MatchingPursuit(atoms, targets, {.count = 20, .threads = 2});
  const auto seven = MatchingPursuit(atoms, targets, {.count = 20, .threads = 7});
  for (Index i = 0; i < 150; ++i) {
    EXPECT_TRUE(SameBits(At(one, i), At(two, i))) << i;
    EXPECT_TRUE(SameBits(At(one, i), At(seven, i))) << i;
    const auto alone = MatchingPursuit(atoms, Matrix(targets.row(i)), {.count = 20});
    EXPECT_TRUE(SameBits(At(one, i), alone[0])) << i;
  }
}

// The product in fp32 cannot tell these texts apart; fp64 can.
TEST(MatchingPursuit, TextsWithinTheRoundingOfFp32AreToldApart) {
  std::mt19937_64 random(7);
  Array<float, 2> texts({1500, 6});
  for (Index j = 0; j < 1500; ++j) {
    // Half of them are one text but for its last digits, half the opposite.
    for (Index e = 0; e < 6; ++e) {
      const float digit = static_cast<float>(static_cast<int>(random() % 9) - 4) * 1.2e-7f;
      texts(j, e) = (j % 2 == 0 ? 1.0f : -1.0f) * (1 + digit);
    }
  }
  const Matrix by_hand = AtomsByHand(texts, TextScale::kUnit);
  const Matrix targets = RandomTargets(20, 6, 8);
  const auto paths = MatchingPursuit(PursuitAtoms(texts), targets, {.count = 1});
  for (Index i = 0; i < 20; ++i) {
    const Vector sizes = (by_hand * targets.row(i).transpose()).cwiseAbs();
    EXPECT_GE(sizes[At(paths, i).texts[0]], sizes.maxCoeff() - 2e-13) << i;
  }
}

TEST(MatchingPursuit, TiesGoToTheLowerIndex) {
  // The first and the last text are opposite, so are the two others.
  const Array<float, 2> texts({4, 2}, {0, 1, 1, 0, -1, 0, 0, -1});
  const auto paths =
      MatchingPursuit(PursuitAtoms(texts), Matrix(Vector{{0.6, -0.8}}.transpose()), {.count = 2});
  EXPECT_EQ(paths[0].texts, (std::vector<Index>{0, 1}));
  EXPECT_NEAR(paths[0].Coefficients(2)[0], -0.8, 1e-15);
  EXPECT_NEAR(paths[0].Coefficients(2)[1], 0.6, 1e-15);
  // All four correlate alike.
  const double half = std::numbers::sqrt2 / 2;
  const auto tied =
      MatchingPursuit(PursuitAtoms(texts), Matrix(Vector{{half, half}}.transpose()), {.count = 1});
  EXPECT_EQ(tied[0].texts, (std::vector<Index>{0}));
}

// Test 7: of doubled texts the first alone is chosen; a path ends where only doubles are left.
TEST(MatchingPursuit, DoubledTextsEndAPath) {
  const Array<float, 2> once = PoolOfTexts(12, 40, 9);
  Array<float, 2> twice({24, 40});
  for (Index j = 0; j < 24; ++j) std::ranges::copy(once.row(j / 2), twice.row(j).begin());
  const Matrix targets = RandomTargets(8, 40, 10);
  const PursuitAtoms atoms(twice);
  const auto paths = MatchingPursuit(atoms, targets, {.count = 20});
  const auto of_once = MatchingPursuit(PursuitAtoms(once), targets, {.count = 20});
  for (Index i = 0; i < 8; ++i) {
    const PursuitPath& path = At(paths, i);
    EXPECT_EQ(path.end, PursuitEnd::kNoText);
    EXPECT_EQ(path.size(), 11);  // twelve texts about their mean span eleven dimensions
    for (const Index text : path.texts) EXPECT_EQ(text % 2, 0);
    std::vector<Index> first_of_pair = At(of_once, i).texts;
    for (Index& text : first_of_pair) text *= 2;
    EXPECT_EQ(path.texts, first_of_pair);
    EXPECT_GT(path.squared_rest.back(), 0.1);
  }
}

TEST(MatchingPursuit, ASumOfTextsEndsExactly) {
  const PursuitAtoms atoms(PoolOfTexts(200, 64, 11));
  Matrix target = 3 * atoms.rows().row(7) - 2 * atoms.rows().row(50) + atoms.rows().row(111);
  for (const double scale : {1.0, 1e-100, 1e-290, 1e120}) {
    const auto paths = MatchingPursuit(atoms, Matrix(scale * target), {.count = 10});
    ASSERT_EQ(paths[0].texts, (std::vector<Index>{7, 50, 111})) << scale;
    EXPECT_EQ(paths[0].end, PursuitEnd::kExact);
    const Vector weights = paths[0].Coefficients(3) / scale;
    EXPECT_NEAR(weights[0], 3, 1e-13);
    EXPECT_NEAR(weights[1], -2, 1e-13);
    EXPECT_NEAR(weights[2], 1, 1e-13);
    EXPECT_LE(paths[0].squared_rest[2], 1e-28 * paths[0].squared_length);
  }
}

TEST(MatchingPursuit, NearlyParallelTextsAreChosenAsLongAsTheyAdd) {
  const Array<float, 2> texts({3, 3}, {1, 0, 0, 1, 1e-7f, 0, -2, -1e-7f, 0});
  Matrix target(1, 3);
  target << 1, 0.5, 0.5;
  const auto paths = MatchingPursuit(PursuitAtoms(texts), target, {.count = 3});
  // The texts lie in a plane, and the target does not.
  EXPECT_EQ(paths[0].size(), 2);
  EXPECT_EQ(paths[0].end, PursuitEnd::kNoText);
  EXPECT_NEAR(paths[0].squared_rest[1], 0.25, 1e-8);
  // 1e-9 apart, they are one text.
  const Array<float, 2> closer({3, 3}, {1, 0, 0, 1, 1e-9f, 0, -2, -1e-9f, 0});
  const auto shorter = MatchingPursuit(PursuitAtoms(closer), target, {.count = 3});
  EXPECT_EQ(shorter[0].size(), 1);
  EXPECT_EQ(shorter[0].end, PursuitEnd::kNoText);
}

TEST(MatchingPursuit, MoreTextsThanDimensionsAreNotChosen) {
  const PursuitAtoms atoms(PoolOfTexts(50, 6, 12));
  const auto paths = MatchingPursuit(atoms, RandomTargets(9, 6, 13), {.count = 1'000'000'000'000});
  for (const PursuitPath& path : paths) {
    EXPECT_EQ(path.size(), 6);
    EXPECT_EQ(path.end, PursuitEnd::kExact);
  }
}

TEST(MatchingPursuit, AZeroTargetHasNoTexts) {
  const PursuitAtoms atoms(PoolOfTexts(20, 8, 14));
  Matrix targets = RandomTargets(3, 8, 15);
  targets.row(1).setZero();
  const auto paths = MatchingPursuit(atoms, targets, {.count = 4});
  EXPECT_EQ(paths[0].size(), 4);
  EXPECT_EQ(paths[1].size(), 0);
  EXPECT_EQ(paths[1].end, PursuitEnd::kExact);
  EXPECT_EQ(paths[1].squared_length, 0);
  EXPECT_EQ(paths[1].Coefficients(4).size(), 0);
  EXPECT_EQ(paths[2].size(), 4);
  EXPECT_TRUE(MatchingPursuit(atoms, Matrix(0, 8), {.count = 4}).empty());
}

TEST(MatchingPursuit, ReadsTargetsInFp32) {
  const PursuitAtoms atoms(PoolOfTexts(60, 8, 16));
  const Array<float, 2> targets = PoolOfTexts(3, 8, 17);
  const auto a = MatchingPursuit(atoms, targets.view(), {.count = 4});
  const auto b =
      MatchingPursuit(atoms, Matrix(AsEigen(targets.view()).cast<double>()), {.count = 4});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(SameBits(a[i], b[i]));
}

TEST(MatchingPursuit, ProgressCountsToItsTotal) {
  Array<float, 2> texts = PoolOfTexts(5, 8, 18);
  Matrix targets = RandomTargets(40, 8, 19);
  targets.row(3).setZero();
  Index last = 0, total = 0, calls = 0;
  const ProgressSink progress = [&](Index done, Index all) {
    EXPECT_GE(done, last);
    last = done, total = all, ++calls;
  };
  MatchingPursuit(PursuitAtoms(texts), targets, {.count = 30, .threads = 2, .progress = progress});
  EXPECT_EQ(total, 40 * 5);
  EXPECT_EQ(last, total);
  EXPECT_GE(calls, 4);
}

// Four texts in three coordinates, the last of which is the same in all.
TEST(PursuitAtoms, TheReferencesScaleByHand) {
  const Array<float, 2> texts({4, 3}, {1, 0, 0.1f, -1, 0, 0.1f, 1, 4, 0.1f, -1, 4, 0.1f});
  // About their mean: (±1, ±2, 0); the norms over all texts are 2 and 4.
  const PursuitAtoms atoms(texts, TextScale::kReference);
  Matrix expected(4, 3);
  expected << 0.5, -0.5, 0, -0.5, -0.5, 0, 0.5, 0.5, 0, -0.5, 0.5, 0;
  EXPECT_LT((atoms.rows() - expected).cwiseAbs().maxCoeff(), 1e-15);
  Matrix target(1, 3);
  target << 0.5, 1, 7;
  const auto paths = MatchingPursuit(atoms, target, {.count = 3});
  // Texts 1 and 2 are opposite, so the first of them is chosen.
  EXPECT_EQ(paths[0].texts, (std::vector<Index>{1, 0}));
  EXPECT_NEAR(paths[0].Coefficients(1)[0], -1.5, 1e-15);
  EXPECT_NEAR(paths[0].Coefficients(2)[0], -1.5, 1e-15);
  EXPECT_NEAR(paths[0].Coefficients(2)[1], -0.5, 1e-15);
  EXPECT_NEAR(paths[0].squared_rest[1], 49, 1e-13);
  EXPECT_EQ(paths[0].end, PursuitEnd::kNoText);
}

TEST(PursuitAtoms, ATextAtTheMeanIsNotChosen) {
  Array<float, 2> texts({5, 2}, {1, 0, 0, 1, 0, 0, -1, 0, 0, -1});
  const PursuitAtoms atoms(texts);
  EXPECT_EQ(atoms.rows().row(2).norm(), 0);
  const auto paths = MatchingPursuit(atoms, Matrix(Vector{{0.6, 0.8}}.transpose()), {.count = 5});
  EXPECT_EQ(paths[0].texts, (std::vector<Index>{1, 0}));
}

TEST(MatchingPursuit, Refuses) {
  const Array<float, 2> texts = PoolOfTexts(20, 8, 20);
  const PursuitAtoms atoms(texts);
  ExpectError(ErrorCode::kInvalidArgument, "width 7 and texts of width 8",
              [&] { MatchingPursuit(atoms, RandomTargets(2, 7, 1), {}); });
  ExpectError(ErrorCode::kInvalidArgument, "count 0, at least 1",
              [&] { MatchingPursuit(atoms, RandomTargets(2, 8, 1), {.count = 0}); });
  Matrix targets = RandomTargets(300, 8, 1);
  targets(200, 7) = std::numeric_limits<double>::quiet_NaN();
  targets(299, 0) = std::numeric_limits<double>::infinity();
  ExpectError(ErrorCode::kInvalidArgument, "target 200 of 300 is not finite",
              [&] { MatchingPursuit(atoms, targets, {.threads = 2}); });
  targets = Matrix::Constant(1, 8, 1e200);
  ExpectError(ErrorCode::kInvalidArgument, "its length is 2.8",
              [&] { MatchingPursuit(atoms, targets, {}); });
  ExpectError(ErrorCode::kInvalidArgument, "0 texts of width 8; give a pool", [&] {
    PursuitAtoms(Array<float, 2>({0, 8}));
  });
  for (const TextScale scale : {TextScale::kUnit, TextScale::kReference}) {
    ExpectError(ErrorCode::kInvalidArgument, "1 text with one",
                [&] { PursuitAtoms(PoolOfTexts(1, 8, 1), scale); });
  }
  Array<float, 2> odd = PoolOfTexts(20, 8, 20);
  odd(13, 2) = std::numeric_limits<float>::infinity();
  ExpectError(ErrorCode::kInvalidArgument, "text 13 of 20 has the number inf",
              [&] { PursuitAtoms{odd.view()}; });
}

}  // namespace
}  // namespace cliplens
