#include "cliplens/model/position_grid.h"

#include <algorithm>
#include <cmath>

#include "cliplens/base/linear_algebra.h"

namespace cliplens {
namespace {

double Cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// Weights [to, from] of a resize along one axis; the filter grows with a reduction.
Matrix Weights(Index from, Index to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0);
  const double support = 2 * stretch;
  Matrix weights = Matrix::Zero(to, from);
  for (Index i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const Index first = std::max<Index>(0, static_cast<Index>(center - support + 0.5));
    const Index end = std::min(from, static_cast<Index>(center + support + 0.5));
    for (Index j = first; j < end; ++j) {
      weights(i, j) = Cubic((static_cast<double>(j) - center + 0.5) / stretch);
    }
    weights.row(i) /= weights.row(i).sum();
  }
  return weights;
}

}  // namespace

Array<float, 2> ResizePositions(ArrayView<const float, 2> positions, const TokenLayout& layout,
                                Index grid) {
  const Index width = positions.dim(1);
  Array<float, 2> out({layout.prefix + grid * grid, width});
  std::copy_n(positions.data(), layout.prefix * width, out.data());
  const Matrix weights = Weights(layout.grid, grid);
  const Matrix from =
      AsEigen(positions.rows(layout.prefix, positions.dim(0))).cast<double>();  // [g², D]
  // Rows, then columns.
  Matrix rows(grid * layout.grid, width);
  for (Index y = 0; y < grid; ++y) {
    for (Index x = 0; x < layout.grid; ++x) {
      RowVector sum = RowVector::Zero(width);
      for (Index j = 0; j < layout.grid; ++j) {
        if (weights(y, j) != 0) sum += weights(y, j) * from.row(j * layout.grid + x);
      }
      rows.row(y * layout.grid + x) = sum;
    }
  }
  for (Index y = 0; y < grid; ++y) {
    for (Index x = 0; x < grid; ++x) {
      RowVector sum = RowVector::Zero(width);
      for (Index j = 0; j < layout.grid; ++j) {
        if (weights(x, j) != 0) sum += weights(x, j) * rows.row(y * layout.grid + j);
      }
      std::ranges::transform(sum, out.row(layout.prefix + y * grid + x).begin(),
                             [](double v) { return static_cast<float>(v); });
    }
  }
  return out;
}

}  // namespace cliplens
