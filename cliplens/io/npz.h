// NumPy's .npz files: several arrays by name, in an uncompressed zip archive.
//
//   const std::vector<float> values = {1, 2, 3};
//   const NpzArray array{"values", "<f4", {3}, AsBytes(std::span(values))};
//   WriteFileAtomically("arrays.npz", NpzBytes({&array, 1}));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/file.h"

namespace cliplens {

struct NpzArray {
  std::string name;
  std::string type;  // as NumPy writes it: "<f4", "<i8", "|S3"
  std::vector<Index> shape;
  std::span<const std::uint8_t> bytes;  // row-major
};

// The bytes of the file; the same for the same arrays, at any time.
std::vector<std::uint8_t> NpzBytes(std::span<const NpzArray> arrays);

}  // namespace cliplens
