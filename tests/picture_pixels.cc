// Prints what DecodeImage makes of pictures, for tests that compare it with Pillow:
//
//   picture_pixels [--exif-orientation] < paths
//
// Reads paths, one a line. For each it prints a line "MODE WIDTH HEIGHT ORIENTATION SIZE" and SIZE
// bytes: the pixels, then those of ConvertToRgb, then those of ConvertToRgbOnWhite. For a file that
// is refused: "refused MESSAGE".
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"

using namespace cliplens;

namespace {

void Write(const std::vector<std::uint8_t>& bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const bool upright = argc > 1 && std::strcmp(argv[1], "--exif-orientation") == 0;
  std::string path;
  while (std::getline(std::cin, path)) {
    try {
      const std::vector<std::uint8_t> bytes = ReadFile(path, Index{1} << 30);
      const Image image = DecodeImage(bytes, path, {.exif_orientation = upright});
      const std::vector<std::uint8_t> rgb = ConvertToRgb(image).pixels;
      const std::vector<std::uint8_t> on_white = ConvertToRgbOnWhite(image).pixels;
      std::printf("%s %td %td %d %zu\n", NameOf(image.mode), image.width, image.height,
                  image.orientation, image.pixels.size() + rgb.size() + on_white.size());
      Write(image.pixels);
      Write(rgb);
      Write(on_white);
    } catch (const Error& error) {
      std::printf("refused %s\n", error.what());
    }
    std::fflush(stdout);
  }
  return 0;
}
