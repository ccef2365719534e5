#include "cliplens/io/image.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"
#include "cliplens/io/picture_format.h"
#include "cliplens/io/printable.h"

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
constexpr ModeInfo kModes[] = {
    {PixelMode::kGray, "L", 1},    {PixelMode::kGrayAlpha, "LA", 2}, {PixelMode::kRgb, "RGB", 3},
    {PixelMode::kRgba, "RGBA", 4}, {PixelMode::kCmyk, "CMYK", 4},    {PixelMode::kPalette, "P", 1},
    {PixelMode::kBilevel, "1", 1}, {PixelMode::kGray16, "I;16", 2},  {PixelMode::kInt32, "I", 4},
    {PixelMode::kFloat32, "F", 4}, {PixelMode::kYcbcr, "YCbCr", 3},  {PixelMode::kLab, "LAB", 3}};

const ModeInfo& ModeInfoOf(PixelMode mode) {
  const auto* found = std::ranges::find(kModes, mode, &ModeInfo::mode);
  if (found != std::end(kModes)) return *found;
  throw Error(ErrorCode::kInternal, "pixel mode {} is unknown", static_cast<int>(mode));
}

Image (*DecoderOf(PictureFormat format))(internal::DecodeRequest&) {
  switch (format) {
    case PictureFormat::kAvif:
      return internal::DecodeAvif;
    case PictureFormat::kBmp:
      return internal::DecodeBmp;
    case PictureFormat::kGif:
      return internal::DecodeGif;
    case PictureFormat::kHeic:
      return internal::DecodeHeic;
    case PictureFormat::kJpeg:
      return internal::DecodeJpeg;
    case PictureFormat::kJpeg2000:
      return internal::DecodeJpeg2000;
    case PictureFormat::kPng:
      return internal::DecodePng;
    case PictureFormat::kTiff:
      return internal::DecodeTiff;
    case PictureFormat::kWebp:
      return internal::DecodeWebp;
  }
  throw Error(ErrorCode::kInternal, "picture format {} is unknown", static_cast<int>(format));
}

}  // namespace

const char* NameOf(PixelMode mode) { return ModeInfoOf(mode).name; }
Index BytesPerPixel(PixelMode mode) { return ModeInfoOf(mode).bytes; }

namespace internal {

std::vector<std::uint8_t> NewPalette() {
  std::vector<std::uint8_t> palette(4 * 256);
  for (std::size_t i = 3; i < palette.size(); i += 4) palette[i] = 255;
  return palette;
}

void DecodeRequest::CheckSize(Index width, Index height, int orientation) const {
  if (width <= 0 || height <= 0) {
    throw Error(
        ErrorCode::kCorruptData,
        "{}: the header claims {} x {} pixels, a picture has at least 1 x 1; fetch it again", name_,
        width, height);
  }
  const Index limit = std::min(options_.max_pixels, kMaxPixels);
  if (width > limit / height) {
    throw Error(ErrorCode::kExhausted,
                "{}: the header claims {} x {} pixels, the limit is {} in all; make it smaller",
                name_, width, height, limit);
  }
  if (!options_.check_size) return;
  if (options_.exif_orientation && orientation >= 5) std::swap(width, height);
  try {
    options_.check_size(width, height);
  } catch (const Error& error) {
    throw Error(error.code(), "{}: {}", name_, error.what());
  }
}

void DecodeRequest::TakeMemory(Index count) {
  memory_ = std::make_shared<DecodeMemory>(count, name_);
}

void DecodeRequest::ThrowCutOff(const char* format) const {
  throw Error(ErrorCode::kCorruptData,
              "{}: the {} is cut off after {} bytes, before the picture is whole; fetch it again",
              name_, format, bytes_.size());
}

void DecodeRequest::ThrowBroken(const char* format, std::string_view why) const {
  throw Error(ErrorCode::kCorruptData, "{}: the {} is broken ({}); fetch it again", name_, format,
              Printable(why, 200));
}

void DecodeRequest::ThrowCannotHold(const char* format, Index claimed) const {
  throw Error(ErrorCode::kCorruptData,
              "{}: the {}'s header claims {} bytes of pixels, the file's {} bytes cannot hold "
              "them; fetch it again",
              name_, format, claimed, bytes_.size());
}

void DecodeRequest::ThrowNotRead(const char* format, std::string_view what) const {
  throw Error(ErrorCode::kUnsupported, "{}: this kind of {} is not read ({}); convert it to PNG",
              name_, format, Printable(what, 200));
}

void YcbcrToRgb(std::uint8_t* pixel) {
  constexpr int kBits = 6;
  // Pillow's tables: each product is rounded by itself, towards zero after a half is added.
  const auto product = [](double factor, int chroma) {
    return static_cast<int>(factor * (1 << kBits) * (chroma - 128) + 0.5);
  };
  const int y = pixel[0];
  const int cb = pixel[1];
  const int cr = pixel[2];
  const int rgb[3] = {
      y + (product(1.40200, cr) >> kBits),
      y + ((product(-0.34414, cb) + product(-0.71414, cr)) >> kBits),
      y + (product(1.77200, cb) >> kBits),
  };
  for (int c = 0; c < 3; ++c) pixel[c] = static_cast<std::uint8_t>(std::clamp(rgb[c], 0, 255));
}

std::uint8_t WithoutAlpha(unsigned value, unsigned alpha) {
  if (alpha == 0) return 0;
  return static_cast<std::uint8_t>(std::min(value * 255 / alpha, 255u));
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

Image DecodeImage(std::span<const std::uint8_t> bytes, const std::string& name,
                  const DecodeOptions& options) {
  if (bytes.empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: the file is empty, 0 bytes; fetch it again", name);
  }
  if (const std::optional<PictureFormat> format = PictureFormatOf(bytes)) {
    internal::DecodeRequest request(bytes, name, options);
    Image image = DecoderOf(*format)(request);
    const std::shared_ptr<DecodeMemory> memory = request.ReleaseMemory();
    if (options.exif_orientation) image = Upright(std::move(image));
    if (options.keep_memory && memory != nullptr) {
      memory->ShrinkTo(static_cast<Index>(image.pixels.size()));
      image.memory = memory;
    }
    return image;
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

int ExifOrientationOf(std::span<const std::uint8_t> bytes) {
  switch (PictureFormatOf(bytes).value_or(PictureFormat::kBmp)) {
    case PictureFormat::kJpeg:
      return internal::OrientationOfJpeg(bytes);
    case PictureFormat::kPng:
      return internal::OrientationOfPng(bytes);
    case PictureFormat::kWebp:
      return internal::OrientationOfWebp(bytes);
    default:
      return 1;
  }
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
    case PixelMode::kInt32:
      for (Index i = 0; i < count; ++i, in += 4, out += 3) {
        std::int32_t v;
        std::memcpy(&v, in, sizeof(v));
        out[0] = out[1] = out[2] = static_cast<std::uint8_t>(std::clamp(v, 0, 255));
      }
      break;
    case PixelMode::kFloat32:
      for (Index i = 0; i < count; ++i, in += 4, out += 3) {
        float v;
        std::memcpy(&v, in, sizeof(v));
        // No comparison with NaN holds; Pillow's cast makes it 0 too.
        const std::uint8_t byte = v >= 255.0f ? 255 : v > 0.0f ? static_cast<std::uint8_t>(v) : 0;
        out[0] = out[1] = out[2] = byte;
      }
      break;
    case PixelMode::kYcbcr:
      for (Index i = 0; i < count; ++i, in += 3, out += 3) {
        std::copy_n(in, 3, out);
        internal::YcbcrToRgb(out);
      }
      break;
    case PixelMode::kLab:
      internal::LabToRgb(image.pixels, rgb.pixels);
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
