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

// The singular value decomposition left · diag(values) · right^T of a product.
struct SingularDirections {
  Vector values;  // [r] descending
  Matrix left;    // [m, r] orthonormal columns
  Matrix right;   // [n, r]
};
// Of a b for a [m, k] and b [k, n]; r is the least of m, k and n. The product [m, n] is never
// formed: QR of both factors leaves a matrix of k rows and columns at most. Throws
// Error(kUnsupported) where a number is not finite.
SingularDirections SingularDirectionsOf(const Matrix& a, const Matrix& b);

// The w ≥ 0 [n] that minimises |x − A^T w| for rows A [n, E], by the algorithm of Lawson and Hanson
// ("Solving Least Squares Problems", 1974), which ends at the exact solution.
//   gram: A A^T [n, n]    products: A x [n]
// A row that is linearly dependent on others, such as a doubled one, gets 0.
Vector NonNegativeLeastSquares(const Matrix& gram, const Vector& products);

}  // namespace cliplens
