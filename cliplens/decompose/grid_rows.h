// Exact sums of rows and of their products.
//
//   GridRows x(images, width);
//   for (Index i = 0; i < images; ++i) x.Set(i, row);           // rounded to the grid
//   x.AddSum(0, images, sum.data());                            // sum += Σ x
//   x.AddSquare(square.data());                                 // square += Σ x x^T
//
// Numbers are in units of 2^-45, sums of products in units of 2^-90 (fixed_point.h). A method
// throws Error(kUnsupported) where a number leaves its range.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cliplens/base/index.h"
#include "cliplens/decompose/fixed_point.h"

namespace cliplens {

class GridRows {
 public:
  GridRows(Index count, Index n) : count_(count), n_(n), values_(ToSize(count * n)) {}

  // values [n]. Each row is set once.
  void Set(Index row, std::span<const double> values);

  // sum [n] += Σ x over rows [begin, end).
  void AddSum(Index begin, Index end, Fixed* sum) const;
  // square += Σ |x|² over rows [begin, end).
  void AddTrace(Index begin, Index end, Fixed& square) const;
  // The upper triangle of `square` [n, n], row by row, += Σ x x^T over all rows.
  void AddSquare(Fixed* square) const;

 private:
  const std::int64_t* Row(Index row) const { return values_.data() + row * n_; }
  void AddAnySquare(Index begin, Index end, Fixed* square) const;
  void AddSmallSquare(Index begin, Index end, Fixed* square) const;

  Index count_, n_;
  std::int64_t most_ = 0;             // the largest magnitude
  std::vector<std::int64_t> values_;  // [count, n]
};

}  // namespace cliplens
