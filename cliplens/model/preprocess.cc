#include "cliplens/model/preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cliplens/base/error.h"

namespace cliplens {

namespace {

constexpr Index kMostInputSide = 16384;

// Where torchvision's centre crop of `size` from `in` >= size begins: halves round to even.
Index MiddleRoundedToEven(Index in, Index size) {
  return static_cast<Index>(std::nearbyint(static_cast<double>(in - size) / 2.0));
}

// The longer side of a picture whose shorter side becomes S.
Index LongSide(Index size, Index long_side, Index short_side) {
  const double side = static_cast<double>(size * long_side) / static_cast<double>(short_side);
  if (side > static_cast<double>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(ErrorCode::kExhausted,
                "picture of {} by {} pixels: its longer side would become {}, the limit is {}; cut "
                "the picture up",
                long_side, short_side, side, std::numeric_limits<std::int32_t>::max());
  }
  return static_cast<Index>(side);
}

// Copies `part` to (left, top) of a picture of the same mode.
void PasteInto(Image& picture, const Image& part, Index left, Index top) {
  const Index pixel = BytesPerPixel(part.mode);
  for (Index y = 0; y < part.height; ++y) {
    std::copy_n(part.pixels.data() + y * part.width * pixel, part.width * pixel,
                picture.pixels.data() + ((top + y) * picture.width + left) * pixel);
  }
}

// `part` in the middle of an S x S square in the picture's own mode, filled as the reference fills.
Image PadInOwnMode(const Image& part, Index size, std::uint8_t fill) {
  Image result = NewImage(part.mode, size, size);
  result.palette = part.palette;
  std::ranges::fill(result.pixels, fill);
  const auto fill_wide = [&](auto sample) {
    for (std::size_t i = 0; i < result.pixels.size(); i += sizeof(sample)) {
      std::memcpy(result.pixels.data() + i, &sample, sizeof(sample));
    }
  };
  if (part.mode == PixelMode::kGray16) fill_wide(std::uint16_t{fill});
  if (part.mode == PixelMode::kInt32) fill_wide(std::int32_t{fill});
  if (part.mode == PixelMode::kFloat32) fill_wide(static_cast<float>(fill));
  PasteInto(result, part, (size - part.width) / 2, (size - part.height) / 2);
  return result;
}

Image Pad(const Image& part, Index size, const std::array<std::uint8_t, 3>& color) {
  if (part.width == size && part.height == size) return part;
  if (color[0] == color[1] && color[1] == color[2]) return PadInOwnMode(part, size, color[0]);
  const Image rgb = ConvertToRgb(part);
  Image result = PadInOwnMode(rgb, size, 0);
  const Index left = (size - rgb.width) / 2;
  const Index top = (size - rgb.height) / 2;
  for (Index y = 0; y < size; ++y) {
    for (Index x = 0; x < size; ++x) {
      if (y >= top && y < top + rgb.height && x >= left && x < left + rgb.width) continue;
      std::copy(color.begin(), color.end(), result.pixels.data() + (y * size + x) * 3);
    }
  }
  return result;
}

void CheckSizes(const PreprocessConfig& config) {
  if (config.image_size < 1 || config.image_size > kMostInputSide) {
    throw Error(ErrorCode::kInvalidArgument,
                "image size {}: 1 to {} is allowed; check the model's configuration",
                config.image_size, kMostInputSide);
  }
  if (config.resize_size < 0 || config.resize_size > kMostInputSide) {
    throw Error(ErrorCode::kInvalidArgument,
                "resize size {}: 0 to {} is allowed; check the model's configuration",
                config.resize_size, kMostInputSide);
  }
}

// Where a square of `size` begins on an axis by transformers' rule. Of a frame with an odd number
// of rows one backend has the larger half in front, the other behind.
Index MiddleRoundedDown(Index in, Index size, ResizeBackend backend) {
  if (in >= size) return (in - size) / 2;
  return -((size - in + (backend == ResizeBackend::kTorchvision ? 0 : 1)) / 2);
}

// The part of an axis of `in` that a square of `size` from `begin` on covers.
PixelRange CoveredBy(Index in, Index begin, Index size) {
  return {std::max<Index>(0, begin), std::min(in, begin + size)};
}

InputPlacement PlacementByHuggingFace(Index width, Index height, const PreprocessConfig& config) {
  const Index size = config.image_size;
  const Index side = config.resize_size == 0 ? size : config.resize_size;
  InputPlacement place{width, height, 0, 0};
  switch (config.resize_mode) {
    case ResizeMode::kShortest: {
      const bool upright = width <= height;
      place.width = upright ? side : LongSide(side, width, height);
      place.height = upright ? LongSide(side, height, width) : side;
      break;
    }
    case ResizeMode::kSquash:
      place.width = place.height = side;
      break;
    case ResizeMode::kNone:
      break;
    case ResizeMode::kLongest:
      throw Error(ErrorCode::kInvalidArgument,
                  "resize mode 'longest' is none of transformers' CLIPImageProcessor; use "
                  "PreprocessRule::kOpenClip");
  }
  place.left = MiddleRoundedDown(place.width, size, config.backend);
  place.top = MiddleRoundedDown(place.height, size, config.backend);
  return place;
}

InputPlacement PlacementByOpenClip(Index width, Index height, const PreprocessConfig& config) {
  const Index size = config.image_size;
  switch (config.resize_mode) {
    case ResizeMode::kSquash:
      return {size, size, 0, 0};
    case ResizeMode::kShortest: {
      const bool upright = width <= height;
      const Index w = upright ? size : LongSide(size, width, height);
      const Index h = upright ? LongSide(size, height, width) : size;
      return {w, h, MiddleRoundedToEven(w, size), MiddleRoundedToEven(h, size)};
    }
    case ResizeMode::kLongest: {
      const double ratio = std::max(static_cast<double>(height) / static_cast<double>(size),
                                    static_cast<double>(width) / static_cast<double>(size));
      const auto side = [&](Index in) {
        const double rounded = std::nearbyint(static_cast<double>(in) / ratio);
        return std::clamp<Index>(static_cast<Index>(rounded), 1, size);
      };
      const Index w = side(width);
      const Index h = side(height);
      return {w, h, -((size - w) / 2), -((size - h) / 2)};
    }
    case ResizeMode::kNone:
      throw Error(ErrorCode::kInvalidArgument,
                  "resize mode 'none' is none of open_clip's; use PreprocessRule::kHuggingFace");
  }
  throw Error(ErrorCode::kInternal, "resize mode {} is unknown",
              static_cast<int>(config.resize_mode));
}

// What the square that the model reads shows of the resized picture; less than S x S where the
// square frames the picture.
Image PartInSquare(const Image& image, const InputPlacement& place,
                   const PreprocessConfig& config) {
  const Index size = config.image_size;
  return ResizePart(
      image, {place.width,
              place.height,
              {CoveredBy(place.width, place.left, size), CoveredBy(place.height, place.top, size)},
              config.interpolation,
              config.backend});
}

// PreprocessRule::kHuggingFace.
Image ResizeAndCropRgb(const Image& image, const PreprocessConfig& config) {
  const bool plain = image.mode == PixelMode::kRgb && !image.clear_color;
  const Image converted = plain ? Image() : ConvertToRgbOnWhite(image);
  const Image& rgb = plain ? image : converted;
  const InputPlacement place = PlacementOf(rgb.width, rgb.height, config);
  Image part = PartInSquare(rgb, place, config);
  const Index size = config.image_size;
  if (part.width == size && part.height == size) return part;
  Image framed = NewImage(PixelMode::kRgb, size, size);
  PasteInto(framed, part, std::max<Index>(0, -place.left), std::max<Index>(0, -place.top));
  return framed;
}

}  // namespace
InputPlacement PlacementOf(Index width, Index height, const PreprocessConfig& config) {
  CheckSizes(config);
  if (width < 1 || height < 1) {
    throw Error(ErrorCode::kInvalidArgument, "picture of {} by {} pixels: both must be at least 1",
                width, height);
  }
  return config.rule == PreprocessRule::kHuggingFace ? PlacementByHuggingFace(width, height, config)
                                                     : PlacementByOpenClip(width, height, config);
}

std::function<void(Index width, Index height)> SizeCheckFor(const PreprocessConfig& config) {
  return [config](Index width, Index height) { PlacementOf(width, height, config); };
}

Image ResizeAndCrop(const Image& image, const PreprocessConfig& config) {
  CheckImage(image);
  CheckSizes(config);
  if (config.rule == PreprocessRule::kHuggingFace) return ResizeAndCropRgb(image, config);
  const InputPlacement place = PlacementOf(image.width, image.height, config);
  return ConvertToRgb(
      Pad(PartInSquare(image, place, config), config.image_size, config.fill_color));
}

Array<float, 3> Preprocess(const Image& image, const PreprocessConfig& config) {
  for (std::size_t c = 0; c < 3; ++c) {
    if (config.std[c] == 0.0f) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "standard deviation of channel {} is 0, it divides; check the model's configuration", c);
    }
  }
  const Image rgb = ResizeAndCrop(image, config);
  const Index size = config.image_size;
  Array<float, 3> x({3, size, size});
  for (std::size_t c = 0; c < 3; ++c) {
    std::array<float, 256> table;
    // transformers' torchvision backend scales mean and deviation, in float32, and not the pixels.
    const auto inverse = static_cast<float>(1.0 / config.rescale_factor);
    for (std::size_t v = 0; v < table.size(); ++v) {
      if (config.backend == ResizeBackend::kTorchvision) {
        table[v] = (static_cast<float>(v) - config.mean[c] * inverse) / (config.std[c] * inverse);
        continue;
      }
      const float unit = config.rule == PreprocessRule::kHuggingFace
                             ? static_cast<float>(static_cast<double>(v) * config.rescale_factor)
                             : static_cast<float>(v) / 255.0f;
      const float shifted = unit - config.mean[c];
      table[v] = shifted / config.std[c];
    }
    const std::uint8_t* in = rgb.pixels.data() + c;
    for (float& out : x.row(static_cast<Index>(c))) {
      out = table[*in];
      in += 3;
    }
  }
  return x;
}

}  // namespace cliplens
