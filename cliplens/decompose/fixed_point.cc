#include "cliplens/decompose/fixed_point.h"

#include <cmath>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

constexpr int kPivotBits = kFixedBits / 2;
constexpr double kLargest = 0x1p55;
constexpr double kLargestPivot = 0x1p18;
constexpr double kLargestOnGrid = 0x1p15;

[[noreturn]] void ThrowRange(double value, double largest = kLargest) {
  throw Error(ErrorCode::kUnsupported,
              "a number of the statistics is {}, sums hold magnitudes below {}; the model's "
              "activations overflow on these pictures: check the weights",
              value, largest);
}

}  // namespace

Fixed ToFixed(double value) {
  const double magnitude = std::abs(value);
  if (!(magnitude < kLargest)) ThrowRange(value);
  // Both parts are exact: scaling by powers of two, and a difference of numbers of one exponent.
  const double scaled = magnitude * 0x1p8;
  const double whole = std::floor(scaled);
  const double fraction = std::nearbyint((scaled - whole) * 0x1p64);  // at most 2^64 − 2^11
  __extension__ using Unsigned = unsigned __int128;
  const Unsigned bits =
      Unsigned{static_cast<std::uint64_t>(whole)} << 64 | static_cast<std::uint64_t>(fraction);
  const auto result = static_cast<Fixed>(bits);
  return value < 0 ? -result : result;
}

double ToDouble(Fixed value) { return static_cast<double>(value) * 0x1p-72; }

void AddTo(Fixed& sum, Fixed value) {
  if (__builtin_add_overflow(sum, value, &sum)) ThrowRange(INFINITY);
}

std::int64_t ToGrid(double value) {
  if (!(std::abs(value) < kLargestOnGrid)) ThrowRange(value, kLargestOnGrid);
  return std::llrint(value * 0x1p45);
}

Fixed GridToFixed(Fixed sum) {
  if (__builtin_mul_overflow(sum, Fixed{1} << (kFixedBits - kGridBits), &sum)) {
    ThrowRange(INFINITY);
  }
  return sum;
}

// Below 2^60 each, so 64 products stay below 2^126. Two sums, because each waits for its carry.
Fixed DotOfGrid(const std::int64_t* a, const std::int64_t* b, int count) {
  Fixed even = 0;
  Fixed odd = 0;
  int i = 0;
  for (; i + 2 <= count; i += 2) {
    even += Fixed{a[i]} * b[i];
    odd += Fixed{a[i + 1]} * b[i + 1];
  }
  if (i < count) even += Fixed{a[i]} * b[i];
  return even + odd;
}

double SquareToDouble(Fixed square) { return static_cast<double>(square) * 0x1p-90; }

void AddProductToSquare(Fixed& sum, Fixed count, std::int64_t a, std::int64_t b) {
  Fixed product = Fixed{a} * b;
  const Fixed units = Fixed{1} << (2 * (kGridBits - kPivotBits));
  if (__builtin_mul_overflow(product, count, &product) ||
      __builtin_mul_overflow(product, units, &product)) {
    ThrowRange(INFINITY);
  }
  AddTo(sum, product);
}

void AddProductTo(Fixed& sum, Fixed count, std::int64_t a, std::int64_t b) {
  Fixed product = Fixed{a} * b;
  if (__builtin_mul_overflow(product, count, &product)) ThrowRange(INFINITY);
  AddTo(sum, product);
}

std::int64_t ToPivot(double value) {
  if (!(std::abs(value) < kLargestPivot)) ThrowRange(value);
  return std::llrint(value * 0x1p36);
}

double FromPivot(std::int64_t pivot) { return static_cast<double>(pivot) * 0x1p-36; }

}  // namespace cliplens
