// Shared by image.cc and the files of the three formats; not part of the interface.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cliplens/io/image.h"

namespace cliplens::internal {

// Refuses sizes of zero and above max_pixels. Called before memory is allocated for the pixels.
void CheckSize(Index width, Index height, Index max_pixels, const std::string& name);

// Each expects bytes that open with the format's signature.
Image DecodeJpeg(std::span<const std::uint8_t> bytes, Index max_pixels, const std::string& name);
Image DecodePng(std::span<const std::uint8_t> bytes, Index max_pixels, const std::string& name);
Image DecodeWebp(std::span<const std::uint8_t> bytes, Index max_pixels, const std::string& name);

}  // namespace cliplens::internal
