#include "cliplens/base/intervals.h"

#include <cmath>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(Intervals, StudentQuantilesAreThoseOfTables) {
  const std::vector<std::pair<Index, double>> table = {
      {1, 12.7062}, {4, 2.7764},  {10, 2.2281}, {11, 2.2010},
      {20, 2.0860}, {30, 2.0423}, {99, 1.9842}, {1'000'000, 1.95997}};
  for (const auto& [freedom, value] : table) EXPECT_NEAR(StudentQuantile(freedom), value, 1e-3);
  ExpectError(ErrorCode::kInvalidArgument, "0 degrees", [] { StudentQuantile(0); });
}

// The bounds of Wilson are where the score test just rejects: (p − q)² = z² q (1 − q) / n.
TEST(Intervals, WilsonsBoundsSolveTheScoreEquation) {
  for (const Index count : {0, 1, 7, 29, 30}) {
    const Estimate share = WilsonShare(count, 30);
    EXPECT_DOUBLE_EQ(share.value, static_cast<double>(count) / 30);
    for (const double q : {share.low, share.high}) {
      EXPECT_NEAR(std::pow(share.value - q, 2), std::pow(1.959963985, 2) * q * (1 - q) / 30, 1e-9);
    }
    EXPECT_LE(share.low, share.value);
    EXPECT_GE(share.high, share.value);
  }
  EXPECT_EQ(WilsonShare(0, 3).low, 0);
  EXPECT_EQ(WilsonShare(1, 1).high, 1);
  ExpectError(ErrorCode::kInvalidArgument, "0 of 0", [] { WilsonShare(0, 0); });
}

// Examples of Newcombe's paper, method 10, with the sign of the difference turned.
TEST(Intervals, PairedDifferencesAreThoseOfThePaper) {
  struct Row {
    PairedCounts counts;
    double low, high;
  };
  for (const Row& row : std::vector<Row>{{{20, 12, 2, 16}, 0.0562, 0.3290},
                                         {{36, 12, 2, 0}, 0.0569, 0.3404},
                                         {{43, 0, 0, 7}, 0, 0},
                                         {{0, 2, 0, 48}, 0, 0}}) {
    const Estimate difference = PairedDifference(row.counts);
    EXPECT_NEAR(difference.value, static_cast<double>(row.counts.second - row.counts.first) / 50,
                1e-12);
    EXPECT_LE(difference.low, difference.value);
    EXPECT_GE(difference.high, difference.value);
    if (row.high == 0) continue;
    EXPECT_NEAR(-difference.high, row.low, 5e-4);
    EXPECT_NEAR(-difference.low, row.high, 5e-4);
  }
  // The order of the conditions turns the sign and the bounds.
  const Estimate there = PairedDifference({.both = 4, .first = 3, .second = 1, .neither = 2});
  const Estimate back = PairedDifference({.both = 4, .first = 1, .second = 3, .neither = 2});
  EXPECT_DOUBLE_EQ(there.low, -back.high);
  EXPECT_DOUBLE_EQ(there.high, -back.low);
  ExpectError(ErrorCode::kInvalidArgument, "0 of 0", [] { PairedDifference({}); });
}

TEST(Intervals, McNemarsTestIsTheBinomialOne) {
  EXPECT_EQ(McNemar({.both = 9}), 1);
  EXPECT_EQ(McNemar({.first = 3, .second = 3}), 1);
  EXPECT_NEAR(McNemar({.first = 5}), 2.0 / 32, 1e-12);
  EXPECT_NEAR(McNemar({.first = 1, .second = 5}), 2.0 * 7 / 64, 1e-12);
  EXPECT_NEAR(McNemar({.first = 2, .second = 12}), 0.012939453125, 1e-12);
  EXPECT_LT(McNemar({.first = 2000, .second = 100}), 1e-200);
  EXPECT_GE(McNemar({.first = 100'000, .second = 1}), 0);
}

TEST(Intervals, TheJackknifeOfAMeanIsItsStandardError) {
  const std::vector<double> values = {1, 4, 2, 8, 5, 7};
  std::vector<double> without;
  for (const double v : values) without.push_back((27 - v) / 5);
  const Estimate mean = *MeanWithBounds(values);
  const Estimate jackknifed = *Jackknife(4.5, without);
  EXPECT_NEAR(mean.value, 4.5, 1e-12);
  EXPECT_NEAR(mean.low, jackknifed.low, 1e-12);
  EXPECT_NEAR(mean.high, jackknifed.high, 1e-12);
  EXPECT_NEAR(mean.high - 4.5, 2.5706 * std::sqrt(7.5 / 6), 1e-9);  // Σ (v − 4.5)² / 5 = 7.5
  EXPECT_FALSE(MeanWithBounds(std::vector<double>{3}));
  EXPECT_FALSE(Jackknife(1, std::vector<double>{1}));
  EXPECT_FALSE(Jackknife(1, std::vector<double>{1, NAN}));
}

TEST(Intervals, CorrelationsKeepToTheirRange) {
  const Estimate one = *JackknifeCorrelation(1, std::vector<double>{1, 1, 1});
  EXPECT_EQ(one.low, 1);
  EXPECT_EQ(one.high, 1);
  const Estimate near = *JackknifeCorrelation(0.99, std::vector<double>{0.95, 0.999, 0.98, 0.97});
  EXPECT_GT(near.low, -1);
  EXPECT_LT(near.low, 0.99);
  EXPECT_GT(near.high, 0.99);
  EXPECT_LT(near.high, 1);
  EXPECT_FALSE(JackknifeCorrelation(NAN, std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace cliplens
