// Sums that do not depend on their order.
//
// A number is rounded once to a multiple of 2^-72 and held as a 128-bit integer; integers add
// without rounding, so any split of them adds up to the same sum (docs/design.md, "Statistics").
// Numbers whose products are summed are rounded to the coarser grid of 2^-45 first, so that a
// product is exact, in units of 2^-90.
//
//   Fixed sum = 0;
//   AddTo(sum, ToFixed(0.1));
//   const double total = ToDouble(sum);
//
// The range is |x| < 2^55 = 3.6e16. A value that does not fit is Error(kUnsupported), never
// wrapped.
#pragma once

#include <cstdint>

namespace cliplens {

__extension__ using Fixed = __int128;

inline constexpr int kFixedBits = 72;  // one unit is 2^-72

// The nearest multiple of 2^-72, ties to even. Throws Error(kUnsupported) outside of the range and
// for what is not finite.
Fixed ToFixed(double value);
double ToDouble(Fixed value);

// sum += value, exactly. Throws Error(kUnsupported) when the sum leaves the range.
void AddTo(Fixed& sum, Fixed value);
// sum += count · a · b · 2^-72, exactly: `a` and `b` are in units of 2^-36. Throws as above.
void AddProductTo(Fixed& sum, Fixed count, std::int64_t a, std::int64_t b);
// The same for a sum in units of 2^-90.
void AddProductToSquare(Fixed& sum, Fixed count, std::int64_t a, std::int64_t b);

// The nearest multiple of 2^-45, in units of 2^-45. Throws Error(kUnsupported) for a value from
// 2^15 on and for one that is not finite.
inline constexpr int kGridBits = 45;
std::int64_t ToGrid(double value);
// A sum of such units as a Fixed. Throws Error(kUnsupported) outside of the range.
Fixed GridToFixed(Fixed sum);
// Σ a_i b_i of at most kGridProducts numbers on the grid, exactly, in units of 2^-90.
inline constexpr int kGridProducts = 64;
Fixed DotOfGrid(const std::int64_t* a, const std::int64_t* b, int count);
double SquareToDouble(Fixed square);  // of units of 2^-90

// The nearest multiple of 2^-36, in units of 2^-36. Throws Error(kUnsupported) for a value from
// 2^18 on, so that a sum of many squares stays in range, and for one that is not finite.
std::int64_t ToPivot(double value);
double FromPivot(std::int64_t pivot);

}  // namespace cliplens
