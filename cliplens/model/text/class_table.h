// A small number for every code point, from the ranges of the generated tables.
//
//   const ClassRange ranges[] = {{0, 0}, {U'a', 1}};
//   Print(ClassTable(ranges)[U'b']);   // 1
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cliplens {

// All code points from `first` to the next row's have this value; the first row begins at 0.
struct ClassRange {
  char32_t first;
  std::uint8_t value;
};

// One byte a code point, so that a look-up is one load.
class ClassTable {
 public:
  explicit ClassTable(std::span<const ClassRange> ranges) : values_(0x110000) {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const std::size_t end = i + 1 < ranges.size() ? ranges[i + 1].first : values_.size();
      std::fill(values_.begin() + static_cast<std::ptrdiff_t>(ranges[i].first),
                values_.begin() + static_cast<std::ptrdiff_t>(end), ranges[i].value);
    }
  }
  std::uint8_t operator[](char32_t c) const { return values_[c]; }

 private:
  std::vector<std::uint8_t> values_;
};

}  // namespace cliplens
