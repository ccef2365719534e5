// Small dense linear algebra. The one place that names Eigen; matrices are row-major fp64.
//
//   const Matrix covariance = Matrix::Identity(4, 4);
//   const SymmetricEigen eigen = EigenOfSymmetric(covariance);
//   Print(eigen.values(0), eigen.vectors.col(0).norm());
#pragma once

#include <span>

#include <Eigen/Dense>

#include "cliplens/base/array.h"

namespace cliplens {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixF = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;
using RowVector = Eigen::RowVectorXd;

// Eigen's view of a shaped array, no copy.
template <typename T>
auto AsEigen(ArrayView<T, 2> a) {
  using Scalar = std::remove_const_t<T>;
  using M = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Mapped = std::conditional_t<std::is_const_v<T>, const M, M>;
  return Eigen::Map<Mapped>(a.data(), a.dim(0), a.dim(1));
}

// Eigenvalues (descending) and eigenvectors (columns) of a symmetric matrix [n, n].
struct SymmetricEigen {
  Vector values;
  Matrix vectors;
};
SymmetricEigen EigenOfSymmetric(const Matrix& a);

// Orthonormal columns [n, n]. The first k of them span what the first k columns of a [n, n] span.
Matrix OrthonormalColumns(const Matrix& a);

}  // namespace cliplens
