#include "cliplens/analysis/sparse_words.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/base/index.h"

namespace cliplens {
namespace {

Array<float, 2> RandomTexts(Index texts, Index width, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Array<float, 2> rows({texts, width});
  for (Index i = 0; i < texts; ++i) {
    // A common part, as the texts of a model have.
    for (float& value : rows.row(i)) value = 0.5f + normal(random);
    auto row = AsEigen(rows.view()).row(i);
    row /= row.norm();
  }
  return rows;
}

Vector RandomDirection(Index width, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Vector v(width);
  for (double& value : v) value = normal(random);
  return v.normalized();
}

double Objective(const TextAtoms& atoms, const Vector& t, const Vector& w, double penalty) {
  return 0.5 * (t - atoms.columns * w).squaredNorm() + penalty * w.sum();
}

// The positive lasso by coordinate descent, run until nothing moves.
Vector LassoByDescent(const TextAtoms& atoms, const Vector& t, double penalty) {
  Vector w = Vector::Zero(atoms.size());
  Vector rest = t;
  for (int round = 0; round < 200000; ++round) {
    double moved = 0;
    for (Index j = 0; j < w.size(); ++j) {
      const double next = std::max(0.0, w[j] + atoms.columns.col(j).dot(rest) - penalty);
      rest -= (next - w[j]) * atoms.columns.col(j);
      moved = std::max(moved, std::abs(next - w[j]));
      w[j] = next;
    }
    if (moved < 1e-14) break;
  }
  return w;
}

std::vector<Index> Sorted(const SparseWords& words) {
  std::vector<Index> index;
  for (const SparseWord& word : words.words) index.push_back(word.index);
  std::ranges::sort(index);
  return index;
}

TEST(TextAtoms, AreUnitVectorsAboutTheMean) {
  const Array<float, 2> texts = RandomTexts(30, 8, 1);
  const TextAtoms atoms = AtomsOf(texts);
  const RowVector mean = AsEigen(texts.view()).cast<double>().colwise().mean();
  const Vector fourth = (AsEigen(texts.view()).row(4).cast<double>() - mean).transpose();
  EXPECT_LT((atoms.columns.col(4) - fourth.normalized()).norm(), 1e-12);
  EXPECT_EQ(atoms.removed.size(), 0);
  const TextAtoms without = AtomsOf(texts, true);
  EXPECT_LT((without.columns.transpose() * mean.transpose()).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_NEAR(without.columns.col(4).norm(), 1, 1e-12);
  ExpectError(ErrorCode::kInvalidArgument, "1 text with one",
              [&] { AtomsOf(RandomTexts(1, 8, 1)); });
}

TEST(TextAtoms, WhatHasNoDirectionIsRefused) {
  const TextAtoms atoms = AtomsOf(RandomTexts(5, 4, 1));
  ExpectError(ErrorCode::kPrecondition, "it has no",
              [&] { DirectionOf(Vector::Zero(4), atoms, 1, "it"); });
  ExpectError(ErrorCode::kPrecondition, "no direction",
              [&] { DirectionOf(Vector::Constant(4, 1e-8), atoms, 1, "it"); });
  ExpectError(ErrorCode::kPrecondition, "no direction", [&] {
    DirectionOf(Vector::Constant(4, std::numeric_limits<double>::quiet_NaN()), atoms, 1, "it");
  });
  EXPECT_NEAR(DirectionOf(Vector::Constant(4, 1e-8), atoms, 1e-8, "it").norm(), 1, 1e-12);
}

// A text beyond those wanted would join at the penalty where the path stops: the lasso there has
// the same texts, and no other solution costs less.
TEST(LassoWords, IsTheLassoAtItsPenalty) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const TextAtoms atoms = AtomsOf(RandomTexts(40, 12, seed));
    const Vector t = RandomDirection(12, 100 + seed);
    for (const Index count : {1, 3, 6}) {
      const SparseWords words = LassoWords(atoms, t, count);
      ASSERT_GT(words.penalty, 0);
      const Vector lasso = LassoByDescent(atoms, t, words.penalty + 1e-9);
      std::vector<Index> support;
      for (Index j = 0; j < lasso.size(); ++j) {
        if (lasso[j] > 1e-9) support.push_back(j);
      }
      // The weights are fitted again without the penalty, which can turn a text away.
      EXPECT_TRUE(std::ranges::includes(support, Sorted(words))) << seed << " " << count;
      EXPECT_EQ(std::ssize(support), count) << seed;
      // The fit is as good as any on these texts.
      Vector w = Vector::Zero(atoms.size());
      for (const SparseWord& word : words.words) w[word.index] = word.weight;
      EXPECT_LE(Objective(atoms, t, w, 0), Objective(atoms, t, lasso, 0) + 1e-9);
      const Vector sum = atoms.columns * w;
      EXPECT_NEAR(words.cosine, sum.dot(t) / sum.norm(), 1e-12);
    }
  }
}

// With all texts wanted the path ends without a penalty: non-negative least squares.
TEST(LassoWords, TheWholePathEndsAtLeastSquares) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const TextAtoms atoms = AtomsOf(RandomTexts(30, 40, seed));
    const Vector t = RandomDirection(40, 100 + seed);
    const SparseWords words = LassoWords(atoms, t, 1000);
    EXPECT_EQ(words.penalty, 0);
    const Vector w = NonNegativeLeastSquares(atoms.columns.transpose() * atoms.columns,
                                             atoms.columns.transpose() * t);
    Vector found = Vector::Zero(30);
    for (const SparseWord& word : words.words) found[word.index] = word.weight;
    EXPECT_LT((found - w).norm(), 1e-9) << seed;
  }
}

TEST(LassoWords, WhatIsASumOfTextsIsFound) {
  const TextAtoms atoms = AtomsOf(RandomTexts(200, 64, 3));
  const Vector sum = 3 * atoms.columns.col(7) + 2 * atoms.columns.col(50) + atoms.columns.col(111);
  const SparseWords words = LassoWords(atoms, sum.normalized(), 3);
  ASSERT_EQ(words.words.size(), 3u);
  EXPECT_EQ(words.words[0].index, 7);
  EXPECT_EQ(words.words[1].index, 50);
  EXPECT_EQ(words.words[2].index, 111);
  EXPECT_NEAR(words.words[0].weight, 3 / sum.norm(), 1e-9);
  EXPECT_NEAR(words.cosine, 1, 1e-12);
}

TEST(LassoWords, DoubledTextsCountOnce) {
  const Array<float, 2> texts = RandomTexts(12, 10, 5);
  Array<float, 2> doubled({24, 10});
  for (Index i = 0; i < 24; ++i) {
    std::ranges::copy(texts.row(i % 12), doubled.row(i).begin());
  }
  const Vector t = RandomDirection(10, 6);
  for (const Index count : {2, 5, 100}) {
    const SparseWords once = LassoWords(AtomsOf(texts), t, count);
    const SparseWords twice = LassoWords(AtomsOf(doubled), t, count);
    EXPECT_EQ(Sorted(once), Sorted(twice)) << count;  // the first of each pair
    EXPECT_NEAR(once.cosine, twice.cosine, 1e-9);
  }
}

// Texts that differ by the rounding of fp32 are one text, not two of large weights.
TEST(LassoWords, AlmostDoubledTextsCountOnce) {
  const Array<float, 2> texts = RandomTexts(12, 10, 5);
  Array<float, 2> doubled({24, 10});
  for (Index i = 0; i < 24; ++i) {
    std::ranges::copy(texts.row(i % 12), doubled.row(i).begin());
    if (i >= 12) doubled(i, i % 10) += 2e-7f;
  }
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Vector t = RandomDirection(10, seed);
    const SparseWords once = LassoWords(AtomsOf(texts), t, 100);
    const SparseWords twice = LassoWords(AtomsOf(doubled), t, 100);
    EXPECT_NEAR(once.cosine, twice.cosine, 1e-5);
    std::vector<Index> of_pair = Sorted(twice);
    for (Index& index : of_pair) index %= 12;
    std::ranges::sort(of_pair);
    EXPECT_EQ(of_pair, Sorted(once)) << seed;
  }
}

TEST(LassoWords, TheOrderOfTheTextsDoesNotMatter) {
  const Array<float, 2> texts = RandomTexts(60, 16, 7);
  std::vector<Index> order(60);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::shuffle(order, std::mt19937_64(1));
  Array<float, 2> shuffled({60, 16});
  for (Index i = 0; i < 60; ++i) {
    std::ranges::copy(texts.row(At(order, i)), shuffled.row(i).begin());
  }
  const Vector t = RandomDirection(16, 8);
  const SparseWords a = LassoWords(AtomsOf(texts), t, 8);
  const SparseWords b = LassoWords(AtomsOf(shuffled), t, 8);
  ASSERT_EQ(a.words.size(), b.words.size());
  for (std::size_t i = 0; i < a.words.size(); ++i) {
    EXPECT_EQ(a.words[i].index, At(order, b.words[i].index));
    EXPECT_NEAR(a.words[i].weight, b.words[i].weight, 1e-9);
  }
}

TEST(LassoWords, NoTextPointsTheWay) {
  // Three texts in a plane; the direction stands on it.
  Array<float, 2> texts({3, 3}, {1, 0, 0, 0, 1, 0, 0.6f, 0.8f, 0});
  const SparseWords words = LassoWords(AtomsOf(texts), Vector{{0.0, 0.0, 1.0}}, 5);
  EXPECT_TRUE(words.words.empty());
  EXPECT_EQ(words.cosine, 0);
  ExpectError(ErrorCode::kInvalidArgument, "width 4",
              [&] { LassoWords(AtomsOf(texts), Vector::Ones(4), 5); });
  ExpectError(ErrorCode::kInvalidArgument, "at least 1",
              [&] { LassoWords(AtomsOf(texts), Vector::Ones(3), 0); });
}

// The pursuit word for word.
std::map<Index, double> PursuitByHand(const TextAtoms& atoms, const Vector& t, Index count,
                                      double coherence) {
  std::vector<Index> picked;
  Vector w;
  Vector rest = t;
  for (Index step = 0; step < count; ++step) {
    Index best = -1;
    double most = 0;
    for (Index j = 0; j < atoms.size(); ++j) {
      const double along = atoms.columns.col(j).dot(rest);
      if (along <= 1e-9 || std::ranges::find(picked, j) != picked.end()) continue;
      double like = 0;
      for (const Index i : picked) like += atoms.columns.col(j).dot(atoms.columns.col(i));
      const double score =
          along + (picked.empty() ? 0 : coherence * like / static_cast<double>(picked.size()));
      if (best < 0 || score > most) best = j, most = score;
    }
    if (best < 0) break;
    picked.push_back(best);
    const Matrix chosen = atoms.columns(Eigen::all, picked);
    w = NonNegativeLeastSquares(chosen.transpose() * chosen, chosen.transpose() * t);
    rest = t - chosen * w;
  }
  std::map<Index, double> weights;
  for (std::size_t i = 0; i < picked.size(); ++i) {
    if (w[static_cast<Index>(i)] > 0) weights[picked[i]] = w[static_cast<Index>(i)];
  }
  return weights;
}

TEST(CoherentWords, AreThePursuits) {
  const TextAtoms atoms = AtomsOf(RandomTexts(80, 16, 11));
  Matrix directions(70, 16);  // more than are taken at a time
  for (Index i = 0; i < 70; ++i) {
    directions.row(i) = RandomDirection(16, 200 + static_cast<unsigned>(i)).transpose();
  }
  for (const double coherence : {0.0, 0.3, 2.0}) {
    const auto found = CoherentWords(atoms, directions, {.count = 4, .coherence = coherence});
    ASSERT_EQ(found.size(), 70u);
    for (Index i = 0; i < 70; ++i) {
      const auto expected = PursuitByHand(atoms, directions.row(i).transpose(), 4, coherence);
      ASSERT_EQ(At(found, i).words.size(), expected.size()) << i;
      for (const SparseWord& word : At(found, i).words) {
        ASSERT_TRUE(expected.contains(word.index)) << i;
        EXPECT_NEAR(word.weight, expected.at(word.index), 1e-9);
      }
    }
  }
  ExpectError(ErrorCode::kInvalidArgument, "coherence -1",
              [&] { CoherentWords(atoms, directions, {.count = 4, .coherence = -1}); });
}

TEST(CoherentWords, CoherencePrefersTextsLikeTheFirst) {
  // The rest of the direction lies along the third text; the second is like the first.
  Array<float, 2> texts({4, 3}, {1, 0, 0, 0.8f, 0.6f, 0, 0, 0, 1, -1.8f, -0.6f, -1});
  const TextAtoms atoms = AtomsOf(texts);
  const Matrix direction = Vector{{0.8, 0.1, 0.2}}.normalized().transpose();
  const auto plain = CoherentWords(atoms, direction, {.count = 2, .coherence = 0});
  const auto coherent = CoherentWords(atoms, direction, {.count = 2, .coherence = 1});
  EXPECT_EQ(Sorted(plain[0]), (std::vector<Index>{0, 2}));
  EXPECT_EQ(Sorted(coherent[0]), (std::vector<Index>{0, 1}));
  EXPECT_GT(plain[0].cosine, coherent[0].cosine);
}

TEST(CoherentWords, StopsWhereNoTextIsLeft) {
  Array<float, 2> texts({3, 2}, {1, 0, 0, 1, -1, -1});
  const auto found =
      CoherentWords(AtomsOf(texts), Matrix(Vector{{1.0, 0.0}}.transpose()), {.count = 9});
  EXPECT_EQ(Sorted(found[0]), (std::vector<Index>{0}));
  EXPECT_NEAR(found[0].cosine, 1, 1e-12);
}

}  // namespace
}  // namespace cliplens
