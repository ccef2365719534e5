// Unpacks deflated bytes: gzip files and MATLAB's packed values.
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

// Deflate packs at most this many bytes into one. A file that claims more is corrupt.
inline constexpr Index kMaxDeflateRatio = 1032;

// The bytes of a zlib stream, or of a gzip file of one member or several. Memory grows with the
// unpacked bytes and never exceeds `max_bytes`. Throws Error(kExhausted) above `max_bytes` of
// output or 4 GB of input, Error(kCorruptData) if the stream ends early, is damaged or has another
// checksum. `name` stands in the messages.
std::vector<std::uint8_t> Inflate(std::span<const std::uint8_t> packed, const std::string& name,
                                  Index max_bytes);

}  // namespace cliplens
