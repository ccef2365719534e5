// The pictures of tests/data/pixels and what Pillow, torchvision and open_clip make of them
// (generate.py there writes both).
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cliplens/io/json.h"

namespace cliplens {

inline std::string PixelFolder() {
  return std::string(CLIPLENS_SOURCE_DIR) + "/tests/data/pixels/";
}

inline std::vector<std::uint8_t> ReadPixelFile(const std::string& name) {
  std::ifstream file(PixelFolder() + name, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + PixelFolder() + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline const Json& PixelExpectations() {
  static const Json expectations = ReadJsonFile(PixelFolder() + "expected.json");
  return expectations;
}

// CRC-32, as zlib's crc32 and PNG's chunks.
inline std::uint32_t Crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

}  // namespace cliplens
