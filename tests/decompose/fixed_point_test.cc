#include "cliplens/decompose/fixed_point.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/base/index.h"

namespace cliplens {
namespace {

TEST(Fixed, HoldsWhatItIsGiven) {
  for (const double x : {0.0, 1.0, -1.0, 0.1, -0.1, 1e-6, -3.75e9, 3e16, 0x1p-72, -0x1p-72}) {
    EXPECT_NEAR(ToDouble(ToFixed(x)), x, 0x1p-73 + std::abs(x) * 1e-16) << x;
  }
  EXPECT_EQ(ToFixed(0x1p-72), 1);
  EXPECT_EQ(ToFixed(0x1p-74), 0);
  EXPECT_EQ(ToFixed(-0x1p-72 * 3), -3);
  EXPECT_EQ(ToFixed(0x1.8p-72), 2);  // halves go to the even one
  EXPECT_EQ(ToFixed(-0x1.4p-71), -2);
}

TEST(Fixed, SumsDoNotDependOnTheirOrder) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  std::vector<double> numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back(std::exp(10 * normal(random)) * normal(random));
  const auto sum = [&] {
    Fixed total = 0;
    for (const double x : numbers) AddTo(total, ToFixed(x));
    return total;
  };
  const Fixed first = sum();
  double plain = 0;
  for (const double x : numbers) plain += x;
  EXPECT_NEAR(ToDouble(first), plain, 1e-9 * std::abs(plain) + 1e-3);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(numbers.begin(), numbers.end(), random);
    EXPECT_TRUE(sum() == first);
  }
}

TEST(Fixed, WhatDoesNotFitIsAnErrorNeverWrapped) {
  for (const double x : {0x1p55, -0x1p55, 1e300, std::numeric_limits<double>::infinity(),
                         std::numeric_limits<double>::quiet_NaN()}) {
    ExpectError(ErrorCode::kUnsupported, "sums hold magnitudes below", [&] { ToFixed(x); });
  }
  Fixed sum = ToFixed(0x1.fp53);
  AddTo(sum, sum);
  ExpectError(ErrorCode::kUnsupported, "check the weights", [&] { AddTo(sum, sum); });
  ExpectError(ErrorCode::kUnsupported, "sums hold",
              [&] { AddProductTo(sum, std::int64_t{1} << 30, ToPivot(2e5), ToPivot(2e5)); });
  ExpectError(ErrorCode::kUnsupported, "sums hold", [&] { ToPivot(0x1p18); });
}

TEST(Fixed, ProductsOfPivotsAreExact) {
  Fixed sum = 0;
  AddProductTo(sum, 3, ToPivot(0.5), ToPivot(-0.25));
  EXPECT_TRUE(sum == ToFixed(-0.375));
  EXPECT_EQ(FromPivot(ToPivot(1.0 / 1024)), 1.0 / 1024);
}

TEST(Fixed, ProductsOnTheGridAreExact) {
  EXPECT_TRUE(GridToFixed(ToGrid(-7.5)) == ToFixed(-7.5));
  EXPECT_EQ(ToGrid(0x1p-45), 1);
  EXPECT_EQ(ToGrid(-0x1.8p-45), -2);  // halves go to the even one
  for (const double x : {0x1p15, -0x1p15, std::numeric_limits<double>::quiet_NaN()}) {
    ExpectError(ErrorCode::kUnsupported, "sums hold magnitudes below", [&] { ToGrid(x); });
  }
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> all(-0x1.fffp14, 0x1.fffp14);
  std::vector<std::int64_t> a, b;
  for (int i = 0; i < kGridProducts; ++i) {
    a.push_back(ToGrid(all(random)));
    b.push_back(ToGrid(i % 2 == 0 ? 0x1.fffp14 : all(random)));
  }
  for (int count = 0; count <= kGridProducts; ++count) {
    Fixed sum = 0;
    for (int i = count; i-- > 0;) AddTo(sum, Fixed{a[ToSize(i)]} * b[ToSize(i)]);
    EXPECT_TRUE(DotOfGrid(a.data(), b.data(), count) == sum);
  }
  const std::int64_t largest = ToGrid(-0x1.ffffffffp14);
  const std::vector<std::int64_t> same(kGridProducts, largest);
  EXPECT_NEAR(SquareToDouble(DotOfGrid(same.data(), same.data(), kGridProducts)), 0x1p36, 1e2);
  Fixed square = DotOfGrid(a.data(), a.data(), 1);
  AddProductToSquare(square, -1, ToPivot(0.5), ToPivot(0.25));
  EXPECT_TRUE(square == Fixed{a[0]} * a[0] - (Fixed{1} << 87));
}

}  // namespace
}  // namespace cliplens
