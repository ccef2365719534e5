// Signed indices, and access to the standard library's containers by them.
//
//   std::vector<float> row(ToSize(width));
//   At(row, width - 1) = 1.0f;
#pragma once

#include <cstddef>
#include <cstdint>

namespace cliplens {

using Index = std::int64_t;

// For the standard library, whose sizes are unsigned. `n` must not be negative.
template <typename T>
constexpr std::size_t ToSize(T n) {
  return static_cast<std::size_t>(n);
}

// The n for which every n-th of `count` things, from the first on, are at most `most`, which is at
// least 1.
constexpr Index StrideFor(Index count, Index most) {
  return most < count ? (count + most - 1) / (most < 1 ? 1 : most) : 1;
}

// container[i].
template <typename Container, typename I>
constexpr decltype(auto) At(Container&& container, I i) {
  return container[ToSize(i)];
}

}  // namespace cliplens
