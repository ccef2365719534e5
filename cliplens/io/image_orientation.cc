// The orientation that EXIF and XMP tell, and turning a picture by it.
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

constexpr unsigned kOrientationTag = 0x0112;

// Whole numbers of a TIFF header's byte order; nothing past the end.
class ExifBytes {
 public:
  ExifBytes(std::span<const std::uint8_t> bytes, bool big) : bytes_(bytes), big_(big) {}

  std::optional<std::uint32_t> Number(std::size_t at, std::size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      value = value << 8 | bytes_[big_ ? at + i : at + count - 1 - i];
    }
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool big_;
};

int ValidOrientation(std::uint32_t value) {
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

struct ExifEntry {
  std::size_t type = 0;
  std::size_t count = 0;
  std::size_t value = 0;  // where it lies
};

// The entry `tag` of the first directory.
std::optional<ExifEntry> FindEntry(const ExifBytes& bytes, unsigned tag) {
  const std::optional<std::uint32_t> directory = bytes.Number(4, 4);
  if (!directory) return std::nullopt;
  const std::size_t count = bytes.Number(*directory, 2).value_or(0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t entry = *directory + 2 + 12 * i;
    const std::optional<std::uint32_t> found = bytes.Number(entry, 2);
    if (!found) return std::nullopt;
    if (*found != tag) continue;
    return ExifEntry{bytes.Number(entry + 2, 2).value_or(0), bytes.Number(entry + 4, 4).value_or(0),
                     entry + 8};
  }
  return std::nullopt;
}

std::optional<ExifBytes> OpenExif(std::span<const std::uint8_t> block) {
  const bool big = !block.empty() && block[0] == 'M';
  const ExifBytes bytes(block, big);
  if (bytes.Number(0, 2) != (big ? 0x4D4Du : 0x4949u) || bytes.Number(2, 2) != 42u) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace

namespace internal {

int OrientationOfExif(std::span<const std::uint8_t> exif) {
  const std::optional<ExifBytes> bytes = OpenExif(exif);
  if (!bytes) return 1;
  const std::optional<ExifEntry> entry = FindEntry(*bytes, kOrientationTag);
  constexpr std::size_t kWidths[] = {0, 1, 0, 2, 4};  // of bytes, shorts and longs
  if (!entry || entry->count != 1 || entry->type >= std::size(kWidths)) return 1;
  const std::size_t width = kWidths[entry->type];
  return width == 0 ? 1 : ValidOrientation(bytes->Number(entry->value, width).value_or(1));
}

bool TiffHasTag(std::span<const std::uint8_t> tiff, unsigned tag) {
  const std::optional<ExifBytes> bytes = OpenExif(tiff);
  return bytes && FindEntry(*bytes, tag);
}

int OrientationOfXmp(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = xmp.find(kName); at != std::string_view::npos;
       at = xmp.find(kName, at + kName.size())) {
    const std::string_view rest = xmp.substr(at + kName.size());
    const std::size_t skip = rest.starts_with("=\"") ? 2 : rest.starts_with('>') ? 1 : 0;
    if (skip == 0 || rest.size() <= skip || rest[skip] < '0' || rest[skip] > '9') continue;
    return ValidOrientation(static_cast<std::uint32_t>(rest[skip] - '0'));
  }
  return 1;
}

}  // namespace internal

Image Upright(Image image) {
  const int orientation = std::exchange(image.orientation, 1);
  if (orientation <= 1 || orientation > 8) return image;
  const bool turned = orientation >= 5;
  // Where a pixel comes from, in the picture as it is stored.
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const Index width = image.width;
  const Index height = image.height;
  const Index pixel = BytesPerPixel(image.mode);
  std::vector<std::uint8_t> pixels(image.pixels.size());
  if (turned) std::swap(image.width, image.height);
  std::uint8_t* out = pixels.data();
  for (Index y = 0; y < image.height; ++y) {
    for (Index x = 0; x < image.width; ++x, out += pixel) {
      const Index across = turned ? y : x;
      const Index down = turned ? x : y;
      const Index column = from_right ? width - 1 - across : across;
      const Index row = from_bottom ? height - 1 - down : down;
      std::copy_n(image.pixels.data() + (row * width + column) * pixel, pixel, out);
    }
  }
  image.pixels = std::move(pixels);
  return image;
}

}  // namespace cliplens
