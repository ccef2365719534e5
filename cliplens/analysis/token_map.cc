#include "cliplens/analysis/token_map.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {
namespace {

// Two neighbouring cells of an axis and the weight of the second.
struct Between {
  Index first = 0, second = 0;
  double weight = 0;
};

// `place` in cells: cell k covers [k, k+1].
Between BetweenAt(double place, Index cells) {
  const double centre = std::clamp(place - 0.5, 0.0, static_cast<double>(cells - 1));
  const auto first = static_cast<Index>(centre);
  return {first, std::min(first + 1, cells - 1), centre - static_cast<double>(first)};
}

// Of the centres of pixels [0, n) of an axis on which `cells` cells span [begin, end].
std::vector<Between> Axis(Index n, double begin, double end, Index cells) {
  std::vector<Between> axis;
  axis.reserve(ToSize(n));
  const double scale = static_cast<double>(cells) / (end - begin);
  for (Index i = 0; i < n; ++i) {
    axis.push_back(BetweenAt((static_cast<double>(i) + 0.5 - begin) * scale, cells));
  }
  return axis;
}

void CheckMap(ArrayView<const double, 2> map, Index height, Index width) {
  if (map.size() == 0 || height < 1 || width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "map of {} x {} cells on {} x {} pixels: all must be at least 1", map.dim(0),
                map.dim(1), height, width);
  }
}

// Equal neighbours give themselves, to the bit.
double Mix(double a, double b, double weight) { return a + weight * (b - a); }

// The rows of the map with its columns already at the places of xs [map height, xs].
Array<double, 2> Widened(ArrayView<const double, 2> map, std::span<const Between> xs) {
  Array<double, 2> wide({map.dim(0), static_cast<Index>(xs.size())});
  for (Index row = 0; row < map.dim(0); ++row) {
    const std::span<const double> from = map.row(row);
    std::ranges::transform(xs, wide.row(row).begin(), [&](const Between& x) {
      return Mix(At(from, x.first), At(from, x.second), x.weight);
    });
  }
  return wide;
}

// Columns [begin, end) of one row of pixels, at y between the rows of `wide`.
void FillRow(const Array<double, 2>& wide, const Between& y, PixelRange columns,
             std::span<double> out) {
  const double* const above = wide.row(y.first).data();
  const double* const below = wide.row(y.second).data();
  for (Index x = columns.begin; x < columns.end; ++x) {
    At(out, x) = Mix(above[x], below[x], y.weight);
  }
}

PixelRange Inside(double begin, double end, Index n) {
  const auto bound = [&](double edge) {
    return static_cast<Index>(std::clamp(std::ceil(edge - 0.5), 0.0, static_cast<double>(n)));
  };
  return {bound(begin), bound(end)};
}

}  // namespace

Array<double, 2> GridOf(std::span<const double> tokens, const TokenLayout& layout) {
  const Index grid = layout.grid;
  if (grid < 1 || static_cast<Index>(tokens.size()) != layout.tokens()) {
    throw Error(ErrorCode::kInvalidArgument, "map of {} tokens for a grid of {} x {} patches",
                tokens.size(), grid, grid);
  }
  return {{grid, grid}, std::vector<double>(tokens.begin() + layout.prefix, tokens.end())};
}

Array<double, 2> ResizeMap(ArrayView<const double, 2> map, Index height, Index width) {
  CheckMap(map, height, width);
  const std::vector<Between> ys = Axis(height, 0, static_cast<double>(height), map.dim(0));
  const std::vector<Between> xs = Axis(width, 0, static_cast<double>(width), map.dim(1));
  Array<double, 2> out({height, width});
  const Array<double, 2> wide = Widened(map, xs);
  for (Index y = 0; y < height; ++y) {
    FillRow(wide, At(ys, y), {0, width}, out.row(y));
  }
  return out;
}

GridRegion RegionOf(Index width, Index height, const ModelConfig& config) {
  const InputPlacement place = PlacementOf(width, height, config.preprocess);
  // Rows and columns of the input that fill no patch are not read.
  const auto side = static_cast<double>(config.grid() * config.patch_size);
  const double x = static_cast<double>(width) / static_cast<double>(place.width);
  const double y = static_cast<double>(height) / static_cast<double>(place.height);
  const auto left = static_cast<double>(place.left);
  const auto top = static_cast<double>(place.top);
  return {left * x, top * y, (left + side) * x, (top + side) * y};
}

PixelRegion PixelsOf(const GridRegion& region, Index width, Index height) {
  return {Inside(region.left, region.right, width), Inside(region.top, region.bottom, height)};
}

Array<double, 2> MapOnPicture(ArrayView<const double, 2> map, const GridRegion& region, Index width,
                              Index height) {
  CheckMap(map, height, width);
  const PixelRegion pixels = PixelsOf(region, width, height);
  const std::vector<Between> ys = Axis(height, region.top, region.bottom, map.dim(0));
  const std::vector<Between> xs = Axis(width, region.left, region.right, map.dim(1));
  Array<double, 2> out({height, width});
  const Array<double, 2> wide = Widened(map, xs);
  for (Index y = pixels.y.begin; y < pixels.y.end; ++y) {
    FillRow(wide, At(ys, y), pixels.x, out.row(y));
  }
  return out;
}

}  // namespace cliplens
