#include "cliplens/analysis/label_confidence.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(LabelConfidence, AlignmentIsOneForDirectionsAtRandomAndTheWidthForTheOnlyOne) {
  const Index width = 40;
  Matrix covariance = Matrix::Zero(width, width);
  covariance(3, 3) = 2;
  Matrix texts = Matrix::Zero(1, width);
  texts(0, 3) = 1;
  EXPECT_DOUBLE_EQ(AlignmentOf(texts, covariance, width), 40);
  texts.setZero();
  texts(0, 4) = 1;
  EXPECT_EQ(AlignmentOf(texts, covariance, width), 0);
  std::mt19937_64 engine(1);
  std::normal_distribution<double> normal;
  Matrix random(5000, width);
  for (double& x : random.reshaped()) x = normal(engine);
  random.rowwise().normalize();
  EXPECT_NEAR(AlignmentOf(random, covariance, width), 1, 0.1);
  EXPECT_EQ(AlignmentOf(random, Matrix::Zero(width, width), width), 0);
}

TEST(LabelConfidence, AnswersWithoutMeaningOweAllThatTurnedTextsExplain) {
  EXPECT_EQ(TurnedPart({.alignment = 0.7, .peak = -0.1}), 1);
  EXPECT_EQ(TurnedPart({.alignment = 1, .peak = 0}), 1);
  EXPECT_NEAR(TurnedPart({.alignment = 2, .peak = 0}), 1.0 / 8, 1e-12);
  EXPECT_NEAR(TurnedPart({.alignment = 1, .peak = 0.5}), std::exp(-3.0), 1e-12);
  EXPECT_GT(TurnedPart({.alignment = 1.5, .peak = 0.1}), TurnedPart({.alignment = 3, .peak = 0.1}));
}

// The standard error against shares of groups drawn at random.
TEST(LabelConfidence, TheErrorOfAShareIsThatOfGroupsAtRandom) {
  std::mt19937_64 engine(2);
  std::normal_distribution<double> normal;
  for (const int groups : {3, 9}) {
    const int images = 30, width = 6, draws = 4000;
    double sum = 0, squares = 0;
    for (int d = 0; d < draws; ++d) {
      Matrix rows(images, width);
      for (double& x : rows.reshaped()) x = normal(engine);
      rows.rowwise() -= rows.colwise().mean().eval();
      Matrix sums = Matrix::Zero(groups, width);
      std::vector<double> counts(static_cast<std::size_t>(groups), 0.0);
      for (int b = 0; b < images; ++b) {
        sums.row(b % groups) += rows.row(b);
        counts[static_cast<std::size_t>(b % groups)] += 1;
      }
      double between = 0;
      for (int g = 0; g < groups; ++g) {
        between += sums.row(g).squaredNorm() / counts[static_cast<std::size_t>(g)];
      }
      const double total = rows.squaredNorm();
      const double share = 1 - (total - between) / (images - groups) / (total / (images - 1));
      sum += share;
      squares += share * share;
    }
    const double mean = sum / draws;
    EXPECT_NEAR(mean, 0, 0.005);
    const double error = std::sqrt(squares / draws - mean * mean);
    EXPECT_NEAR(ErrorOfShare(images, groups, width), error, 0.1 * error) << groups;
  }
  EXPECT_EQ(ErrorOfShare(8, 8, 3), 1);
  EXPECT_EQ(ErrorOfShare(8, 1, 3), 1);
}

TEST(LabelConfidence, GrowsWithWhatSpeaksForTheGuess) {
  const LabelFigures usual{.net = 0.2,
                           .next_net = 0.1,
                           .share = 0.2,
                           .error = 0.01,
                           .next_error = 0.01,
                           .stability = 1,
                           .head_alignment = 3,
                           .text_alignment = 3,
                           .text_peak = 0.3,
                           .table_alignment = 0.7,
                           .table_peak = 0.2,
                           .images = 1000,
                           .properties = 8,
                           .texts = 10};
  const double p = ConfidenceOf(usual);
  EXPECT_GT(p, 0.5);
  LabelFigures other = usual;
  other.head_alignment = 0.5;
  EXPECT_LT(ConfidenceOf(other), p);
  other = usual;
  other.text_peak = 0;
  EXPECT_LT(ConfidenceOf(other), p);
  LabelFigures few = usual;
  few.images = 12;
  other = few;
  other.stability = 0.5;
  EXPECT_LT(ConfidenceOf(other), ConfidenceOf(few));
  other = usual;
  other.net = 0.02;
  other.share = 0.02;
  EXPECT_LT(ConfidenceOf(other), p);
  // Many more pictures than those of the fit change nothing; fewer than eight count as eight.
  other = usual;
  other.images = 10'000;
  LabelFigures many = usual;
  many.images = 1500;
  EXPECT_EQ(ConfidenceOf(other), ConfidenceOf(many));
  other.images = 2;
  many.images = 8;
  EXPECT_EQ(ConfidenceOf(other), ConfidenceOf(many));
  EXPECT_TRUE(std::isfinite(ConfidenceOf({})));
}

}  // namespace
}  // namespace cliplens
