// Deflated bytes, as gzip files and MATLAB's packed values are.
//
//   const MappedFile file("cifar-10-binary.tar.gz");
//   const std::vector<std::uint8_t> tar = Inflate(file.bytes(), "cifar-10-binary.tar.gz", 1 << 28);
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// The bytes of a zlib stream, or of a gzip file of one member or several. Memory is taken as bytes
// come, and never above `max_bytes`. Throws Error(kExhausted) when more come or 4 GB went in,
// Error(kCorruptData) when the stream ends early, is damaged or has another checksum; `name` stands
// in the messages.
std::vector<std::uint8_t> Inflate(std::span<const std::uint8_t> packed, const std::string& name,
                                  Index max_bytes);

}  // namespace cliplens
