#include "cliplens/decompose/grid_rows.h"

#include <algorithm>
#include <cstdlib>

#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// A small number is v = high · 2^24 + low with both parts at most 2^23. A product of two parts is
// at most 2^46 and a sum of 128 of them at most 2^53. Up to there fp64 holds every whole number, so
// that a product of matrices in fp64 is exact; it takes less than half of the time of integers of
// 128 bits.
constexpr int kLowBits = 24;
constexpr std::int64_t kHalf = std::int64_t{1} << (kLowBits - 1);
constexpr std::int64_t kMostSmall = kHalf << kLowBits;  // 4, in units of the grid
constexpr Index kSmallRows = 128;
constexpr Index kBand = 64;  // rows of the square at once, so that their products stay in the cache

std::int64_t Whole(double value) { return static_cast<std::int64_t>(value); }

}  // namespace

void GridRows::Set(Index row, std::span<const double> values) {
  std::int64_t* to = values_.data() + row * n_;
  for (const double value : values) {
    *to = ToGrid(value);
    most_ = std::max(most_, std::abs(*to++));
  }
}

void GridRows::AddSum(Index begin, Index end, Fixed* sum) const {
  std::vector<Fixed> total(ToSize(n_));
  for (Index b = begin; b < end; ++b) {
    for (Index k = 0; k < n_; ++k) At(total, k) += Row(b)[k];
  }
  for (Index k = 0; k < n_; ++k) AddTo(sum[k], GridToFixed(At(total, k)));
}

void GridRows::AddTrace(Index begin, Index end, Fixed& square) const {
  for (Index b = begin; b < end; ++b) {
    for (Index k = 0; k < n_; k += kGridProducts) {
      const auto some = static_cast<int>(std::min<Index>(kGridProducts, n_ - k));
      AddTo(square, DotOfGrid(Row(b) + k, Row(b) + k, some));
    }
  }
}

void GridRows::AddSquare(Fixed* square) const {
  const bool small = most_ <= kMostSmall;
  const Index some = small ? kSmallRows : kGridProducts;
  for (Index begin = 0; begin < count_; begin += some) {
    const Index end = std::min(begin + some, count_);
    small ? AddSmallSquare(begin, end, square) : AddAnySquare(begin, end, square);
  }
}

void GridRows::AddAnySquare(Index begin, Index end, Fixed* square) const {
  const Index rows = end - begin;
  std::vector<std::int64_t> columns(ToSize(n_ * rows));  // [n, rows]: what is summed lies together
  for (Index b = 0; b < rows; ++b) {
    for (Index k = 0; k < n_; ++k) At(columns, k * rows + b) = Row(begin + b)[k];
  }
  for (Index i = 0; i < n_; ++i) {
    for (Index k = i; k < n_; ++k, ++square) {
      AddTo(*square,
            DotOfGrid(&At(columns, i * rows), &At(columns, k * rows), static_cast<int>(rows)));
    }
  }
}

void GridRows::AddSmallSquare(Index begin, Index end, Fixed* square) const {
  const Index rows = end - begin;
  std::vector<float> parts(ToSize(rows * 2 * n_));  // [rows, n, 2]: high and low
  const std::int64_t* v = Row(begin);
  for (std::size_t i = 0; i < parts.size(); i += 2, ++v) {
    const std::int64_t high = (*v + kHalf) >> kLowBits;
    parts[i] = static_cast<float>(high);
    parts[i + 1] = static_cast<float>(*v - (high << kLowBits));
  }
  std::vector<double> products(ToSize(4 * std::min(kBand, n_) * n_));  // [band, 2, columns, 2]
  for (Index first = 0; first < n_; first += kBand) {
    const Index band = std::min(kBand, n_ - first);
    const Index columns = n_ - first;
    const float* from = parts.data() + 2 * first;
    std::ranges::fill(products, 0.0);
    nn::AddProduct(nn::Operand<float>{from, 2 * band, rows, 1, 2 * n_},
                   nn::Operand<float>{from, rows, 2 * columns, 2 * n_, 1}, products.data(),
                   2 * columns, /*upper=*/true);
    for (Index i = 0; i < band; ++i) {
      const double* high = &At(products, 4 * i * columns);  // times high and low of each column
      const double* low = high + 2 * columns;
      for (Index k = i; k < columns; ++k, ++square) {
        // low · high of a column with itself is below the diagonal.
        const Fixed middle = Whole(high[2 * k + 1]) + Whole(k == i ? high[2 * k + 1] : low[2 * k]);
        AddTo(*square, (Fixed{Whole(high[2 * k])} << (2 * kLowBits)) + (middle << kLowBits) +
                           Whole(low[2 * k + 1]));
      }
    }
  }
}

}  // namespace cliplens
