#include "cliplens/base/linear_algebra.h"

#include "cliplens/base/error.h"

namespace cliplens {

SymmetricEigen EigenOfSymmetric(const Matrix& a) {
  if (a.rows() != a.cols()) {
    throw Error(ErrorCode::kInternal, "eigenvalues of a {} x {} matrix: it must be square",
                a.rows(), a.cols());
  }
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
  if (solver.info() != Eigen::Success) {
    throw Error(ErrorCode::kInternal,
                "the eigenvalues of a {0} x {0} matrix did not converge; look for NaN in its input",
                a.rows());
  }
  return {solver.eigenvalues().reverse(), solver.eigenvectors().rowwise().reverse()};
}

Matrix OrthonormalColumns(const Matrix& a) {
  return Eigen::HouseholderQR<Matrix>(a).householderQ() * Matrix::Identity(a.rows(), a.cols());
}

}  // namespace cliplens
