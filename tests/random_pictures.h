// Pictures of random pixels, written as PNG files.
#pragma once

#include <filesystem>
#include <random>
#include <string>

#include <fmt/format.h>

#include "cliplens/io/file.h"
#include "cliplens/io/image.h"

namespace cliplens {

inline Image RandomPicture(std::uint64_t seed, Index width, Index height) {
  std::mt19937_64 random(seed);
  Image image;
  image.width = width;
  image.height = height;
  // A colour and a grain of its own, so that pictures differ in more than noise.
  const std::uint64_t base = random();
  for (Index i = 0; i < 3 * width * height; ++i) {
    const auto colour = static_cast<int>((base >> (8 * (i % 3))) & 0xFF);
    image.pixels.push_back(
        static_cast<std::uint8_t>((colour + static_cast<int>(random() % 96)) & 0xFF));
  }
  return image;
}

// `count` pictures of the given side, 000.png onwards.
inline void WriteRandomPictures(const std::filesystem::path& directory, Index count, Index side) {
  std::filesystem::create_directories(directory);
  for (Index i = 0; i < count; ++i) {
    WriteFileAtomically(
        directory / fmt::format("{:03d}.png", i),
        EncodePng(RandomPicture(static_cast<std::uint64_t>(i) + 1, side, side + 3)));
  }
}

}  // namespace cliplens
