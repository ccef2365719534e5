// Whether numbers are finite.
//
//   const std::vector<float> row = {1, 2};
//   Print(AllFinite(std::span(row)));   // true
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <type_traits>

namespace cliplens {

template <typename T>
requires std::is_floating_point_v<std::remove_const_t<T>>
bool AllFinite(std::span<T> values) {
  return std::ranges::all_of(values, [](auto v) { return std::isfinite(v); });
}

}  // namespace cliplens
