#include "cliplens/io/image.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"
#include "cliplens/io/picture_format.h"

namespace cliplens {

namespace {

using namespace std::literals;  // NOLINT: signatures hold zero bytes

// A file that ends inside a signature was cut off; it is no other format.
bool EndsInsideSignature(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kOpenings[] = {"\xFF\xD8\xFF"sv, "\x89PNG\r\n\x1A\n"sv, "RIFF"sv};
  return std::ranges::any_of(kOpenings, [&](std::string_view opening) {
    const std::size_t held = std::min(bytes.size(), opening.size());
    return bytes.size() < 12 && (opening == "RIFF"sv || bytes.size() < opening.size()) &&
           std::memcmp(bytes.data(), opening.data(), held) == 0;
  });
}

// What to do about a file that is no picture.
const char* NextStepFor(std::string_view what) {
  if (what == "a Git LFS pointer") return "fetch the picture itself with `git lfs pull`";
  if (what == "a web page (HTML)") {
    return "fetch the picture from its own address, or leave the file out";
  }
  if (what.ends_with("archive")) return "unpack it";
  return "convert it to PNG";
}

// a * b / 255, rounded, for bytes; Pillow's form.
std::uint8_t MulDiv255(unsigned a, unsigned b) {
  const unsigned t = a * b + 128;
  return static_cast<std::uint8_t>(((t >> 8) + t) >> 8);
}

// A colour laid on opaque white: Pillow's alpha_composite, which weighs with 7 bits more than a
// byte.
std::uint8_t OnWhite(unsigned value, unsigned alpha) {
  constexpr unsigned kBits = 7;
  const unsigned weight = alpha << kBits;
  const unsigned t = value * weight + 255u * ((255u << kBits) - weight) + (0x80u << kBits);
  return static_cast<std::uint8_t>((((t >> 8) + t) >> 8) >> kBits);
}

struct ModeInfo {
  PixelMode mode;
  const char* name;
  Index bytes;  // of a pixel
};
constexpr ModeInfo kModes[] = {{PixelMode::kGray, "L", 1},    {PixelMode::kGrayAlpha, "LA", 2},
                               {PixelMode::kRgb, "RGB", 3},   {PixelMode::kRgba, "RGBA", 4},
                               {PixelMode::kCmyk, "CMYK", 4}, {PixelMode::kPalette, "P", 1},
                               {PixelMode::kBilevel, "1", 1}, {PixelMode::kGray16, "I;16", 2}};

const ModeInfo& ModeInfoOf(PixelMode mode) {
  const auto* found = std::ranges::find(kModes, mode, &ModeInfo::mode);
  if (found != std::end(kModes)) return *found;
  throw Error(ErrorCode::kInternal, "pixel mode {} is unknown", static_cast<int>(mode));
}

}  // namespace

const char* NameOf(PixelMode mode) { return ModeInfoOf(mode).name; }
Index BytesPerPixel(PixelMode mode) { return ModeInfoOf(mode).bytes; }

namespace internal {

void CheckSize(Index width, Index height, Index max_pixels, const std::string& name) {
  if (width <= 0 || height <= 0) {
    throw Error(
        ErrorCode::kCorruptData,
        "{}: the header claims {} x {} pixels, a picture has at least 1 x 1; fetch it again", name,
        width, height);
  }
  if (width > max_pixels / height) {
    throw Error(ErrorCode::kExhausted,
                "{}: the header claims {} x {} pixels, the limit is {} in all; make it smaller",
                name, width, height, max_pixels);
  }
}

}  // namespace internal

Image NewImage(PixelMode mode, Index width, Index height) {
  Image image;
  image.mode = mode;
  image.width = width;
  image.height = height;
  image.pixels.resize(ToSize(width * height * BytesPerPixel(mode)));
  return image;
}

Image DecodeImage(std::span<const std::uint8_t> bytes, const std::string& name, Index max_pixels) {
  max_pixels = std::min(max_pixels, kMaxPixels);
  if (bytes.empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: the file is empty, 0 bytes; fetch it again", name);
  }
  if (const std::optional<PictureFormat> format = PictureFormatOf(bytes)) {
    switch (*format) {
      case PictureFormat::kJpeg:
        return internal::DecodeJpeg(bytes, max_pixels, name);
      case PictureFormat::kPng:
        return internal::DecodePng(bytes, max_pixels, name);
      case PictureFormat::kWebp:
        return internal::DecodeWebp(bytes, max_pixels, name);
    }
  }
  if (EndsInsideSignature(bytes)) {
    throw Error(ErrorCode::kCorruptData, "{}: the file is cut off after {} bytes; fetch it again",
                name, bytes.size());
  }
  if (const std::string_view other = NameOfOtherFile(bytes); !other.empty()) {
    throw Error(ErrorCode::kUnsupported, "{}: the file is {}, pictures are read in {}; {}", name,
                other, kPictureFormatsText, NextStepFor(other));
  }
  std::string opening;
  for (std::uint8_t byte : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
    opening += fmt::format("{}{:02x}", opening.empty() ? "" : " ", byte);
  }
  throw Error(ErrorCode::kUnsupported,
              "{}: the file opens with the bytes {}, which are no picture in {}; "
              "convert it to PNG",
              name, opening, kPictureFormatsText);
}

void CheckImage(const Image& image) {
  if (image.width <= 0 || image.height <= 0 || image.width > kMaxPixels / image.height) {
    throw Error(ErrorCode::kInvalidArgument,
                "picture of {} x {} pixels: between 1 and {} pixels are allowed; resize it",
                image.width, image.height, kMaxPixels);
  }
  const Index wanted = image.width * image.height * BytesPerPixel(image.mode);
  if (static_cast<Index>(image.pixels.size()) != wanted) {
    throw Error(ErrorCode::kInvalidArgument,
                "picture of {} x {} pixels in mode {}: {} bytes are needed, {} are there; "
                "fill Image::pixels whole",
                image.width, image.height, NameOf(image.mode), wanted, image.pixels.size());
  }
  if (image.mode == PixelMode::kPalette && image.palette.size() != 4 * 256) {
    throw Error(ErrorCode::kInvalidArgument,
                "palette picture: 1024 palette bytes (256 x RGBA) are needed, {} are there; "
                "fill Image::palette whole",
                image.palette.size());
  }
}

Image ConvertToRgb(const Image& image) {
  CheckImage(image);
  if (image.mode == PixelMode::kRgb) return image;
  Image rgb = NewImage(PixelMode::kRgb, image.width, image.height);
  const Index count = image.width * image.height;
  const std::uint8_t* in = image.pixels.data();
  std::uint8_t* out = rgb.pixels.data();
  switch (image.mode) {
    case PixelMode::kRgb:
      break;
    case PixelMode::kGray:
    case PixelMode::kBilevel:
    case PixelMode::kGrayAlpha: {
      const Index step = BytesPerPixel(image.mode);
      const bool bilevel = image.mode == PixelMode::kBilevel;
      for (Index i = 0; i < count; ++i, in += step, out += 3) {
        const std::uint8_t v = bilevel && *in != 0 ? std::uint8_t{255} : *in;
        out[0] = out[1] = out[2] = v;
      }
      break;
    }
    case PixelMode::kRgba:
      for (Index i = 0; i < count; ++i, in += 4, out += 3) std::copy_n(in, 3, out);
      break;
    case PixelMode::kCmyk:
      for (Index i = 0; i < count; ++i, in += 4, out += 3) {
        const unsigned white = 255u - in[3];
        for (int c = 0; c < 3; ++c) {
          out[c] = static_cast<std::uint8_t>(white - MulDiv255(in[c], white));
        }
      }
      break;
    case PixelMode::kPalette:
      for (Index i = 0; i < count; ++i, ++in, out += 3) {
        std::copy_n(image.palette.data() + 4 * *in, 3, out);
      }
      break;
    case PixelMode::kGray16:
      for (Index i = 0; i < count; ++i, in += 2, out += 3) {
        std::uint16_t v;
        std::memcpy(&v, in, sizeof(v));
        out[0] = out[1] = out[2] = static_cast<std::uint8_t>(std::min<int>(v, 255));
      }
      break;
  }
  return rgb;
}

Image ConvertToRgbOnWhite(const Image& image) {
  Image rgb = ConvertToRgb(image);
  rgb.clear_color.reset();
  const std::size_t count = ToSize(image.width * image.height);
  const auto lay = [](std::uint8_t* pixel, unsigned alpha) {
    if (alpha == 255) return;
    for (int c = 0; c < 3; ++c) pixel[c] = OnWhite(pixel[c], alpha);
  };
  std::uint8_t* out = rgb.pixels.data();
  if (image.mode == PixelMode::kGrayAlpha || image.mode == PixelMode::kRgba) {
    const auto step = ToSize(BytesPerPixel(image.mode));
    for (std::size_t i = 0; i < count; ++i) lay(out + 3 * i, image.pixels[(i + 1) * step - 1]);
  } else if (image.mode == PixelMode::kPalette) {
    for (std::size_t i = 0; i < count; ++i) {
      lay(out + 3 * i, image.palette[4 * std::size_t{image.pixels[i]} + 3]);
    }
  } else if (image.clear_color) {
    for (std::size_t i = 0; i < count; ++i) {
      if (std::equal(image.clear_color->begin(), image.clear_color->end(), out + 3 * i)) {
        lay(out + 3 * i, 0);
      }
    }
  }
  return rgb;
}

}  // namespace cliplens
