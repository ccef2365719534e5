// Debiased linear CKA as its paper has it, from the Gram matrices.
#pragma once

#include <cmath>

#include "cliplens/base/linear_algebra.h"

namespace cliplens {

// The unbiased estimator of HSIC.
inline double PlainHsic(const Matrix& x, const Matrix& y) {
  const auto n = static_cast<double>(x.rows());
  Matrix k = x * x.transpose(), l = y * y.transpose();
  k.diagonal().setZero();
  l.diagonal().setZero();
  const Matrix product = k * l;
  return (product.trace() + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * product.sum()) /
         (n * (n - 3));
}

inline double PlainCka(const Matrix& x, const Matrix& y) {
  return PlainHsic(x, y) / std::sqrt(PlainHsic(x, x) * PlainHsic(y, y));
}

}  // namespace cliplens
