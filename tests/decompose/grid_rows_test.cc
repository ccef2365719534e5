#include "cliplens/decompose/grid_rows.h"

#include <functional>
#include <random>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

// Up to here numbers are summed in parts, in fp64; one unit of the grid above, as they are.
constexpr double kMostInParts = 4;
constexpr double kLargestParts = kMostInParts - 0x1p-22;
constexpr double kUnit = 0x1p-45;

// Expects that the sums of count rows of n such numbers are those of the definition.
void ExpectExactSums(Index count, Index n, const std::function<double()>& draw) {
  GridRows rows(count, n);
  std::vector<std::vector<double>> x(ToSize(count), std::vector<double>(ToSize(n)));
  for (Index b = 0; b < count; ++b) {
    for (double& value : At(x, b)) value = draw();
    rows.Set(b, At(x, b));
  }
  // What is there already stays.
  std::vector<Fixed> square(ToSize(n * (n + 1) / 2), -5);
  std::vector<Fixed> sum(ToSize(n), 3);
  Fixed trace = 7;
  rows.AddSquare(square.data());
  rows.AddSum(count / 3, count, sum.data());
  rows.AddTrace(count / 3, count, trace);
  Fixed expected_trace = 7;
  auto at = square.begin();
  for (Index i = 0; i < n; ++i) {
    Fixed expected_sum = 3;
    for (Index b = count / 3; b < count; ++b) {
      const double value = At(At(x, b), i);
      expected_sum += GridToFixed(ToGrid(value));
      expected_trace += Fixed{ToGrid(value)} * ToGrid(value);
    }
    EXPECT_TRUE(At(sum, i) == expected_sum) << count << " " << i;
    for (Index k = i; k < n; ++k, ++at) {
      Fixed expected = -5;
      for (const std::vector<double>& row : x) {
        expected += Fixed{ToGrid(At(row, i))} * ToGrid(At(row, k));
      }
      EXPECT_TRUE(*at == expected) << count << " rows, " << i << " by " << k;
    }
  }
  EXPECT_TRUE(trace == expected_trace) << count;
}

TEST(GridRows, SumsAreExact) {
  std::mt19937_64 random(11);
  for (const double most : {0.2, kMostInParts, 0x1p11}) {
    std::uniform_real_distribution<double> all(-most, most);
    const auto draw = [&] { return all(random); };
    for (Index count = 0; count <= 66; ++count) ExpectExactSums(count, 5, draw);
    for (const Index count : {127, 128, 129, 300}) ExpectExactSums(count, 7, draw);
    for (const Index n : {1, 35, 63, 64, 65, 130}) ExpectExactSums(40, n, draw);
  }
}

TEST(GridRows, SumsAreExactAtTheEdges) {
  std::mt19937_64 random(12);
  for (const double most : {kMostInParts, kMostInParts - kUnit, kMostInParts + kUnit, kLargestParts,
                            kLargestParts - kUnit, 0x1p-22, 0x1p-22 - kUnit, kUnit}) {
    for (const Index count : {127, 128, 129}) {
      ExpectExactSums(count, 3, [&] { return most; });
      ExpectExactSums(count, 3, [&] { return -most; });
      ExpectExactSums(count, 3, [&] { return random() % 8 == 0 ? -most + kUnit : most; });
      ExpectExactSums(count, 3, [&] { return random() % 8 == 0 ? kUnit : -most; });
    }
  }
  // One large number among small ones.
  Index number = 0;
  ExpectExactSums(200, 4, [&] { return ++number == 333 ? -0x1p14 : 0.1; });
}

TEST(GridRows, WhatDoesNotFitIsAnError) {
  GridRows rows(1, 2);
  ExpectError(ErrorCode::kUnsupported, "sums hold magnitudes below", [&] {
    rows.Set(0, std::vector<double>{0, 0x1p15});
  });
  rows.Set(0, std::vector<double>{1, 1});
  std::vector<Fixed> square(3, (Fixed{1} << 126) + ((Fixed{1} << 126) - 1));
  ExpectError(ErrorCode::kUnsupported, "sums hold magnitudes below",
              [&] { rows.AddSquare(square.data()); });
}

}  // namespace
}  // namespace cliplens
