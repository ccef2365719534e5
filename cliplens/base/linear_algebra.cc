#include "cliplens/base/linear_algebra.h"

#include <algorithm>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"

namespace cliplens {
namespace {

// Gains below this share of the largest product are rounding.
constexpr double kNoGain = 1e-12;
// Rows whose squared distance from the span of others is below this share are in the span.
constexpr double kDependent = 1e-10;

// The unconstrained solution on the rows `used`; empty where they are linearly dependent.
Vector LeastSquaresOn(const std::vector<Index>& used, const Matrix& gram, const Vector& products) {
  const Matrix g = gram(used, used);
  const Eigen::LLT<Matrix> factors(g);
  const Vector pivots = factors.matrixLLT().diagonal();
  if (factors.info() != Eigen::Success ||
      (pivots.array().square() < kDependent * g.diagonal().array()).any()) {
    return {};
  }
  return factors.solve(Vector(products(used)));
}

}  // namespace

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

SingularDirections SingularDirectionsOf(const Matrix& a, const Matrix& b) {
  if (b.rows() != a.cols()) {
    throw Error(ErrorCode::kInternal, "singular values of [{}, {}] times [{}, {}]", a.rows(),
                a.cols(), b.rows(), b.cols());
  }
  if (!a.allFinite() || !b.allFinite()) {
    throw Error(ErrorCode::kUnsupported, "a matrix has numbers that are not finite");
  }
  const Eigen::HouseholderQR<Eigen::MatrixXd> left(a);
  const Eigen::HouseholderQR<Eigen::MatrixXd> right(b.transpose());
  const auto upper = [](const auto& qr) {
    return Eigen::MatrixXd(qr.matrixQR()
                               .topRows(std::min(qr.rows(), qr.cols()))
                               .template triangularView<Eigen::Upper>());
  };
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(upper(left) * upper(right).transpose(),
                                           Eigen::ComputeThinU | Eigen::ComputeThinV);
  const auto outer = [](const auto& qr, const Eigen::MatrixXd& inner) {
    Eigen::MatrixXd all = Eigen::MatrixXd::Zero(qr.rows(), inner.cols());
    all.topRows(inner.rows()) = inner;
    return Matrix(qr.householderQ() * all);
  };
  return {svd.singularValues(), outer(left, svd.matrixU()), outer(right, svd.matrixV())};
}

Vector NonNegativeLeastSquares(const Matrix& gram, const Vector& products) {
  const Index n = products.size();
  Vector weights = Vector::Zero(n);
  std::vector<Index> used;
  std::vector<bool> barred(ToSize(n));
  const double least = n == 0 ? 0 : kNoGain * products.cwiseAbs().maxCoeff();
  const auto drop = [&](std::size_t place) {
    weights[used[place]] = 0;
    used.erase(used.begin() + static_cast<std::ptrdiff_t>(place));
  };
  while (true) {
    const Vector gain = products - gram * weights;
    Index best = -1;
    for (Index j = 0; j < n; ++j) {
      if (At(barred, j) || std::ranges::find(used, j) != used.end() || gain[j] <= least) continue;
      if (best < 0 || gain[j] > gain[best]) best = j;
    }
    if (best < 0) return weights;
    used.push_back(best);
    while (true) {
      const Vector solution = LeastSquaresOn(used, gram, products);
      // A row that adds nothing is known by its dependence, or by rounding that turns it away.
      if (solution.size() == 0 ||
          (used.back() == best && weights[best] == 0 && solution[solution.size() - 1] <= 0)) {
        At(barred, best) = true;
        drop(used.size() - 1);
        break;
      }
      // As far towards the solution as all weights stay non-negative.
      double step = 1;
      std::size_t first = used.size();
      for (std::size_t i = 0; i < used.size(); ++i) {
        const double to = solution[static_cast<Index>(i)];
        if (to > 0) continue;
        const double reach = weights[used[i]] / (weights[used[i]] - to);
        if (first == used.size() || reach < step) step = reach, first = i;
      }
      for (std::size_t i = 0; i < used.size(); ++i) {
        double& weight = weights[used[i]];
        weight += step * (solution[static_cast<Index>(i)] - weight);
      }
      if (first == used.size()) break;
      drop(first);
    }
  }
}

}  // namespace cliplens
