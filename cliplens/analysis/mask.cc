#include "cliplens/analysis/mask.h"

#include <algorithm>
#include <vector>

#include "cliplens/analysis/token_map.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

const char* NameOf(MapGeometry geometry) {
  switch (geometry) {
    case MapGeometry::kAligned:
      return "aligned";
    case MapGeometry::kSquash:
      return "squash";
    case MapGeometry::kReference:
      return "reference";
  }
  return "";
}

MaskPixels ReadMaskPixels(const Image& mask, std::optional<int> ignore, const std::string& name) {
  const Index bytes = BytesPerPixel(mask.mode);
  if (ignore && bytes != 1) {
    throw Error(ErrorCode::kUnsupported,
                "{}: value {} is not to be counted, but the mask's pixels have {} bytes (mode {}); "
                "save it as a grey or palette picture",
                Printable(name, 1024), *ignore, bytes, NameOf(mask.mode));
  }
  MaskPixels pixels({mask.height, mask.width});
  const std::uint8_t* from = mask.pixels.data();
  if (bytes == 1 && !ignore) {
    std::transform(from, from + pixels.size(), pixels.flat().begin(),
                   [](std::uint8_t v) { return static_cast<std::int8_t>(v != 0 ? 1 : 0); });
    return pixels;
  }
  for (std::int8_t& to : pixels.flat()) {
    const bool object = std::any_of(from, from + bytes, [](std::uint8_t v) { return v != 0; });
    to = ignore && *from == *ignore ? std::int8_t{-1} : static_cast<std::int8_t>(object ? 1 : 0);
    from += bytes;
  }
  return pixels;
}

MaskPixels MaskOnInput(const MaskPixels& mask, const ModelConfig& config, MapGeometry geometry) {
  const Index height = mask.dim(0);
  const Index width = mask.dim(1);
  const PreprocessConfig preprocess =
      geometry == MapGeometry::kAligned ? config.preprocess : Squashed(config.preprocess);
  const InputPlacement place = PlacementOf(width, height, preprocess);
  const Index side = config.grid() * config.patch_size;
  // The pixel of an axis, or −1 beside it.
  const auto nearest = [](Index i, Index first, Index resized, Index n) {
    const Index at = i + first;
    if (at < 0 || at >= resized) return Index{-1};
    const double place_on_axis =
        (static_cast<double>(at) + 0.5) * static_cast<double>(n) / static_cast<double>(resized);
    return std::min(static_cast<Index>(place_on_axis), n - 1);
  };
  std::vector<Index> columns;
  for (Index x = 0; x < side; ++x) columns.push_back(nearest(x, place.left, place.width, width));
  MaskPixels out({side, side});
  for (Index y = 0; y < side; ++y) {
    const Index row = nearest(y, place.top, place.height, height);
    for (Index x = 0; x < side; ++x) {
      const Index column = At(columns, x);
      out(y, x) = row < 0 || column < 0 ? std::int8_t{-1} : mask(row, column);
    }
  }
  return out;
}

PreprocessConfig Squashed(PreprocessConfig config) {
  config.resize_mode = ResizeMode::kSquash;
  config.resize_size = 0;
  return config;
}

}  // namespace cliplens
