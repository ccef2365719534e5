#include "cliplens/decompose/fixed_point.h"

#include <cmath>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

constexpr int kPivotBits = kFixedBits / 2;
constexpr double kLargest = 0x1p55;
constexpr double kLargestPivot = 0x1p18;

[[noreturn]] void ThrowRange(double value) {
  throw Error(ErrorCode::kUnsupported,
              "a number of the statistics is {}, sums hold magnitudes below {}; the model's "
              "activations overflow on these pictures: check the weights",
              value, kLargest);
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

Fixed PivotToFixed(std::int64_t pivot) { return Fixed{pivot} * (Fixed{1} << kPivotBits); }

}  // namespace cliplens
