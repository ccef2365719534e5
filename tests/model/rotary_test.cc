#include "cliplens/model/rotary.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace cliplens {
namespace {

constexpr TokenLayout kLayout = {.prefix = 1, .grid = 3};

// Scores of a query at one place with a key at another depend on the distance alone.
TEST(Rotary, ScoresDependOnTheDistance) {
  const Array<float, 2> table = RotaryTable({.reference = 3}, kLayout, 8);
  const auto turned = [&](Index place, std::vector<float> x) {
    std::vector<float> rows(80, 0.0f);
    std::copy(x.begin(), x.end(), rows.begin() + (place + 1) * 8);
    Rotate(table, 1, {.rows = 10, .heads = 1, .stride = 8, .x = rows.data()});
    return std::vector<float>(rows.begin() + (place + 1) * 8, rows.begin() + (place + 2) * 8);
  };
  const std::vector<float> query = {1, -0.5f, 0.3f, 2, 0.1f, -1, 0.7f, 0.4f};
  const std::vector<float> key = {0.2f, 1, -0.8f, 0.6f, 1.5f, 0.3f, -0.2f, 0.9f};
  const auto score = [&](Index q, Index k) {
    const std::vector<float> a = turned(q, query), b = turned(k, key);
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
    return sum;
  };
  EXPECT_NEAR(score(0, 4), score(4, 8), 1e-6);  // one down and one to the right
  EXPECT_NEAR(score(1, 2), score(7, 8), 1e-6);
  EXPECT_GT(std::abs(score(0, 4) - score(0, 8)), 1e-3);
}

TEST(Rotary, TokensInFrontStayAndHeadsTurnAlike) {
  const Array<float, 2> table = RotaryTable({.reference = 3, .offset = 1}, kLayout, 4);
  std::vector<float> rows(80, 1.0f);
  Rotate(table, 1, {.rows = 10, .heads = 2, .stride = 8, .x = rows.data()});
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(rows[i], 1.0f);
  for (std::size_t row = 8; row < 80; row += 8) {
    for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(rows[row + k], rows[row + 4 + k]);
    EXPECT_NE(rows[row], 1.0f);
  }
}

// Which axis turns the first half of the pairs, and places of a grid of another size.
TEST(Rotary, AxesAndReference) {
  const Array<float, 2> rows_first = RotaryTable({.reference = 6}, kLayout, 4);
  const Array<float, 2> columns_first = RotaryTable({.reference = 6, .x_first = true}, kLayout, 4);
  EXPECT_NEAR(rows_first(3, 0), std::cos(2.0), 1e-6);  // row 1 of 3 is place 2 of 6
  EXPECT_NEAR(rows_first(3, 1), std::sin(2.0), 1e-6);
  EXPECT_EQ(rows_first(3, 2), 1.0f);
  EXPECT_NEAR(columns_first(1, 0), std::cos(2.0), 1e-6);
  EXPECT_EQ(columns_first(1, 2), 1.0f);
}

}  // namespace
}  // namespace cliplens
