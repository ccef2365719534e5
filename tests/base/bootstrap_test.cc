#include "cliplens/base/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(Bootstrap, ConstantDataHaveNoSpread) {
  const Bootstrap bootstrap(10, 200);
  const std::vector<double> counted = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3};
  const Estimate all = bootstrap.Ratio(counted, counted);
  EXPECT_EQ(all.value, 1.0);
  EXPECT_EQ(all.low, 1.0);
  EXPECT_EQ(all.high, 1.0);
  const Estimate none = bootstrap.Ratio(std::vector<double>(10, 0.0), counted);
  EXPECT_EQ(none.value, 0.0);
  EXPECT_EQ(none.low, 0.0);
  EXPECT_EQ(none.high, 0.0);
}

TEST(Bootstrap, AnyFigureOfSumsAgreesWithRatios) {
  const Bootstrap bootstrap(10, 200);
  const std::vector<std::vector<double>> columns = {{1, 0, 2, 1, 3, 4, 0, 2, 3, 1},
                                                    {3, 1, 4, 1, 5, 9, 2, 6, 5, 3}};
  const Estimate ratio = bootstrap.Ratio(columns[0], columns[1]);
  const auto figure = [](std::span<const double> s) { return s[0] / s[1]; };
  const Estimate of = bootstrap.Of(columns, figure);
  EXPECT_NEAR(of.value, ratio.value, 1e-12);
  EXPECT_NEAR(of.low, ratio.low, 1e-12);
  EXPECT_NEAR(of.high, ratio.high, 1e-12);
  // Draws without a figure are passed over; with none left the bounds are the figure.
  const Estimate none = bootstrap.Of(columns, [&](std::span<const double> s) {
    return s[1] == 39 && s[0] == 17 ? 2.0 : std::nan("");
  });
  EXPECT_EQ(none.value, 2.0);
  EXPECT_LE(none.low, 2.0);
  const std::vector<std::vector<double>> wrong = {{1, 2}};
  ExpectError(ErrorCode::kInvalidArgument, "2 blocks", [&] { (void)bootstrap.Of(wrong, figure); });
}

TEST(Bootstrap, OnePictureHasNoSpreadHoweverOftenItIsDrawn) {
  const Bootstrap bootstrap(10, 200);
  std::vector<double> value(10, 0.0), counted(10, 0.0);
  counted[4] = 1;
  for (const double x : {0.1, 0.228706, 1.0 / 3, -0.7}) {
    value[4] = x;
    const Estimate e = bootstrap.Ratio(value, counted);
    EXPECT_EQ(e.value, x);
    EXPECT_EQ(e.low, x);
    EXPECT_EQ(e.high, x);
  }
}

TEST(Bootstrap, TheBoundsHoldTheTruthAboutNineteenTimesInTwenty) {
  const Bootstrap bootstrap;
  std::mt19937_64 random(3);
  const auto blocks = ToSize(bootstrap.blocks());
  const int sets = 1000;
  int held = 0;
  double width = 0;
  for (int set = 0; set < sets; ++set) {
    std::vector<double> right(blocks, 0.0), counted(blocks, 0.0);
    for (int picture = 0; picture < 1000; ++picture) {
      const std::size_t block = random() % blocks;
      counted[block] += 1;
      right[block] += random() % 10 < 7 ? 1 : 0;
    }
    const Estimate e = bootstrap.Ratio(right, counted);
    EXPECT_LE(e.low, e.value);
    EXPECT_LE(e.value, e.high);
    held += e.low <= 0.7 && 0.7 <= e.high ? 1 : 0;
    width += (e.high - e.low) / sets;
  }
  // Three standard errors of 0.95 over the sets, and the percentile method's own shortfall.
  EXPECT_GE(held, 920);
  EXPECT_LE(held, 971);
  EXPECT_NEAR(width, 2 * 1.96 * std::sqrt(0.7 * 0.3 / 1000), 0.003);
}

TEST(Bootstrap, ADifferenceIsBoundedPictureByPicture) {
  // The same picture is wrong in both: the difference is exact though neither accuracy is.
  const Bootstrap bootstrap(20, 500);
  std::vector<double> difference(20, 1.0), counted(20, 10.0);
  const Estimate e = bootstrap.Ratio(difference, counted);
  EXPECT_DOUBLE_EQ(e.value, 0.1);
  EXPECT_NEAR(e.high - e.low, 0.0, 1e-15);
}

TEST(Bootstrap, EmptyBlocks) {
  const Bootstrap bootstrap(10, 300);
  const std::vector<double> empty(10, 0.0);
  const Estimate nothing = bootstrap.Ratio(empty, empty);
  EXPECT_EQ(nothing.value, 0.0);
  EXPECT_EQ(nothing.low, 0.0);
  EXPECT_EQ(nothing.high, 0.0);
  // One block alone has a picture: draws without it are passed over.
  std::vector<double> right = empty, counted = empty;
  counted[4] = 2;
  right[4] = 1;
  const Estimate one = bootstrap.Ratio(right, counted);
  EXPECT_EQ(one.value, 0.5);
  EXPECT_EQ(one.low, 0.5);
  EXPECT_EQ(one.high, 0.5);
}

TEST(Bootstrap, TheDrawsAreTheSameEveryTime) {
  std::vector<double> right(100), counted(100, 1.0);
  for (std::size_t i = 0; i < right.size(); ++i) right[i] = i % 3 == 0 ? 1 : 0;
  const Estimate a = Bootstrap().Ratio(right, counted);
  const Estimate b = Bootstrap().Ratio(right, counted);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  // Other draws say nearly the same.
  const Estimate c = Bootstrap(kBootstrapBlocks, kBootstrapDraws, 2).Ratio(right, counted);
  EXPECT_NEAR(c.low, a.low, 0.025);
  EXPECT_NEAR(c.high, a.high, 0.025);
  // What the standard's engine gives with seed 1: the same on every machine.
  EXPECT_DOUBLE_EQ(a.low, 0.25);
  EXPECT_DOUBLE_EQ(a.high, 0.44);
}

TEST(Bootstrap, BadArgumentsAreErrors) {
  ExpectError(ErrorCode::kInvalidArgument, "0 blocks", [] { Bootstrap(0); });
  ExpectError(ErrorCode::kInvalidArgument, "0 draws", [] { Bootstrap(5, 0); });
  const Bootstrap bootstrap(3, 10);
  const std::vector<double> two(2, 1.0), three(3, 1.0);
  ExpectError(ErrorCode::kInvalidArgument, "2 and 3 blocks, not 3",
              [&] { bootstrap.Ratio(two, three); });
}

}  // namespace
}  // namespace cliplens
