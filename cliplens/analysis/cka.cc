#include "cliplens/analysis/cka.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "cliplens/base/error.h"
#include "cliplens/base/intervals.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kFewestForHsic = 4;  // pictures; the estimator divides by n − 3
constexpr double kNoFigure = std::numeric_limits<double>::quiet_NaN();
// Below this part of what all pictures have, the pictures that are left are alike.
constexpr double kAllAlike = 1e-12;

nn::Operand<double> RowsIn(const Matrix& m, RowRange range) {
  return {m.data() + range.begin * m.cols(), range.size(), m.cols(), m.cols(), 1};
}

// Sums over some rows of x and y from which H follows: the Gram matrices themselves, [n, n], are
// never formed. d is the diagonal of a Gram matrix.
struct HsicSums {
  double n = 0;
  Matrix cross;           // x^T y
  Matrix x, y;            // Σ x, Σ y [1, ·]
  Matrix x_dy, y_dx;      // Σ x |y|², Σ y |x|² [1, ·]
  double dx = 0, dy = 0;  // Σ |x|², Σ |y|²
  double dxdy = 0;        // Σ |x|² |y|²

  HsicSums(const Matrix& of_x, const Matrix& of_y, RowRange range)
      : n(static_cast<double>(range.size())),
        cross(nn::Product(RowsIn(of_x, range).Transposed(), RowsIn(of_y, range))),
        x(Matrix::Zero(1, of_x.cols())),
        y(Matrix::Zero(1, of_y.cols())),
        x_dy(x),
        y_dx(y) {
    for (Index i = range.begin; i < range.end; ++i) {
      const double of_dx = of_x.row(i).squaredNorm();
      const double of_dy = of_y.row(i).squaredNorm();
      x += of_x.row(i);
      y += of_y.row(i);
      x_dy += of_dy * of_x.row(i);
      y_dx += of_dx * of_y.row(i);
      dx += of_dx;
      dy += of_dy;
      dxdy += of_dx * of_dy;
    }
  }

  void Subtract(const HsicSums& other) {
    n -= other.n;
    cross -= other.cross;
    x -= other.x;
    y -= other.y;
    x_dy -= other.x_dy;
    y_dx -= other.y_dx;
    dx -= other.dx;
    dy -= other.dy;
    dxdy -= other.dxdy;
  }

  // n (n − 3) times the unbiased estimator, which with K and L without their diagonals is
  // tr KL + 1ᵀK1 1ᵀL1 / ((n−1)(n−2)) − 2/(n−2) 1ᵀKL1.
  double Hsic() const {
    if (n < static_cast<double>(kFewestForHsic)) return kNoFigure;
    const double trace = cross.squaredNorm() - dxdy;
    const double sums = (x.squaredNorm() - dx) * (y.squaredNorm() - dy);
    const double rows = (x * cross).cwiseProduct(y).sum() - x.cwiseProduct(x_dy).sum() -
                        y.cwiseProduct(y_dx).sum() + dxdy;
    return trace + sums / ((n - 1) * (n - 2)) - 2 / (n - 2) * rows;
  }
};

// H of all rows, then without each block.
std::vector<double> HsicByBlock(const Matrix& x, const Matrix& y, Index blocks) {
  const HsicSums all(x, y, {0, x.rows()});
  std::vector<double> values = {all.Hsic()};
  for (Index g = 0; g < blocks; ++g) {
    HsicSums rest = all;
    rest.Subtract(HsicSums(x, y, BlockOf(g, blocks, x.rows())));
    values.push_back(rest.Hsic());
  }
  return values;
}

}  // namespace

RowRange BlockOf(Index block, Index blocks, Index rows) {
  return {block * rows / blocks, (block + 1) * rows / blocks};
}

std::optional<Estimate> DebiasedCka(const Matrix& x, const Matrix& y, Index blocks) {
  if (x.rows() != y.rows() || blocks < 1 || blocks > x.rows()) {
    throw Error(ErrorCode::kInvalidArgument, "CKA: {} and {} rows in {} blocks", x.rows(), y.rows(),
                blocks);
  }
  const std::vector<double> xy = HsicByBlock(x, y, blocks);
  const std::vector<double> xx = HsicByBlock(x, x, blocks);
  const std::vector<double> yy = HsicByBlock(y, y, blocks);
  std::vector<double> values;
  for (std::size_t i = 0; i < xy.size(); ++i) {
    const bool vary = xx[i] > kAllAlike * xx[0] && yy[i] > kAllAlike * yy[0];
    values.push_back(vary ? std::clamp(xy[i] / std::sqrt(xx[i] * yy[i]), -1.0, 1.0) : kNoFigure);
  }
  return JackknifeCorrelation(values.front(), std::span(values).subspan(1));
}

std::vector<double> GramOffsets(const MatrixF& x) {
  // Row i of XX^T sums to 0, so without its diagonal d to −d_i.
  const auto n = static_cast<double>(x.rows());
  std::vector<double> offsets;
  double total = 0;
  for (Index i = 0; i < x.rows(); ++i) {
    offsets.push_back(x.row(i).cast<double>().squaredNorm());
    total += offsets.back();
  }
  for (double& d : offsets) d = d / (n - 2) - total / (2 * (n - 1) * (n - 2));
  return offsets;
}

}  // namespace cliplens
