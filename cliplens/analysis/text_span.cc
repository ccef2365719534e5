#include "cliplens/analysis/text_span.h"

#include <algorithm>
#include <cmath>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// Directions whose second moment is below this share of the largest are rounding: factors are fp32,
// so a singular value is known to about 1e-7 of the largest, its square to 1e-14.
constexpr double kRankTolerance = 1e-12;
// A head is used up when this share of its variance is left, a text when this share of its length.
constexpr double kRestTolerance = 1e-10;
// Variance below this share of the second moment about zero is rounding of fp32 factors.
constexpr double kVarianceTolerance = 1e-14;
// Variances nearer than this are a tie: texts that encode equal differ by rounding alone.
constexpr double kTie = 1e-12;
// Texts' variances are updated step by step and computed anew every few steps, against drift.
constexpr Index kRefresh = 8;

}  // namespace

TextSpanResult TextSpan(const Moments& moments, ArrayView<const float, 2> head_basis,
                        ArrayView<const float, 2> texts, const TextSpanOptions& options) {
  if (moments.mean.size() != head_basis.dim(0) || texts.dim(1) != head_basis.dim(1)) {
    throw Error(ErrorCode::kInvalidArgument,
                "TextSpan: moments of width {} and texts of width {} for a head basis of {} x {}",
                moments.mean.size(), texts.dim(1), head_basis.dim(0), head_basis.dim(1));
  }
  if (texts.dim(0) == 0) {
    throw Error(ErrorCode::kInvalidArgument, "TextSpan: no texts to choose from");
  }
  if (options.count < 1 || options.rank < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "TextSpan: count {} and rank {}; count is at least 1, rank at least 0 (0: all)",
                options.count, options.rank);
  }
  const Matrix covariance_u = moments.Covariance();
  const HeadCoordinates coordinates = CoordinatesOf(head_basis);
  const Matrix& from_factor = coordinates.from_factor;

  // The span of the contributions about zero, in orthonormal coordinates: W [r', r].
  const SymmetricEigen second =
      EigenOfSymmetric(from_factor * moments.SecondMoment() * from_factor.transpose());
  Index rank = 0;
  while (rank < second.values.size() &&
         second.values[rank] > kRankTolerance * std::max(second.values[0], 1e-300)) {
    ++rank;
  }
  if (options.rank > 0) rank = std::min(rank, options.rank);
  const Matrix span = second.vectors.leftCols(rank).transpose();
  const Matrix weights = span * from_factor;  // y = weights · u, [rank, K+3]

  Matrix sigma = weights * covariance_u * weights.transpose();
  const Matrix from_text = nn::Product(nn::Of(span), nn::Of(coordinates.from_text));
  Matrix q = nn::Product(nn::Of(texts), nn::Of(from_text).Transposed());  // [M, rank]

  TextSpanResult result;
  result.rank = rank;
  result.variance = (from_factor * covariance_u * from_factor.transpose()).trace();
  const double floor =
      std::max(kRestTolerance * result.variance, kVarianceTolerance * second.values.sum());
  const Vector length = q.rowwise().squaredNorm();
  double cumulative = 0;
  Vector v;
  for (Index step = 0; step < options.count; ++step) {
    if (sigma.trace() <= floor) break;
    if (step % kRefresh == 0)
      v = nn::Product(nn::Of(q), nn::Of(sigma)).cwiseProduct(q).rowwise().sum();
    Index best = -1;
    for (Index j = 0; j < q.rows(); ++j) {
      if (best < 0 || v[j] > v[best] + kTie * std::abs(v[best])) best = j;
    }
    const double rest = q.row(best).squaredNorm();
    if (rest <= kRestTolerance * length[best] || v[best] <= floor * rest) break;
    const Vector t = q.row(best).transpose() / std::sqrt(rest);
    const Vector sigma_t = sigma * t;
    const double s = t.dot(sigma_t);
    const Vector a = q * t;
    const Vector b = q * sigma_t;
    v += (-2.0 * a.array() * b.array() + a.array().square() * s).matrix();
    q.noalias() -= a * t.transpose();
    // (I − tt^T) Σ (I − tt^T)
    sigma += s * t * t.transpose() - sigma_t * t.transpose() - t * sigma_t.transpose();
    SpanText text;
    text.index = best;
    text.share = s / result.variance;
    text.cumulative = cumulative += text.share;
    text.weight = weights.transpose() * t;
    result.texts.push_back(std::move(text));
  }
  return result;
}

std::vector<TextSpanResult> TextSpanOfHeads(const Statistics& statistics, const Basis& basis,
                                            const std::vector<HeadId>& heads,
                                            ArrayView<const float, 2> texts,
                                            const TextSpanOptions& options, int threads) {
  std::vector<TextSpanResult> results(heads.size());
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    const HeadId id = At(heads, i);
    At(results, i) = TextSpan(statistics.HeadMoments(id), basis.at(id), texts, options);
  });
  return results;
}

std::vector<double> HeldOutShares(std::span<const Moments> slices,
                                  ArrayView<const float, 2> head_basis,
                                  ArrayView<const float, 2> texts, const TextSpanOptions& options) {
  const Matrix from_factor = CoordinatesOf(head_basis).from_factor;
  std::vector<double> explained(ToSize(options.count), 0.0);
  double variance = 0, about_zero = 0;
  for (std::size_t out = 0; out < slices.size(); ++out) {
    const Moments& slice = slices[out];
    if (slice.count == 0) continue;
    Moments rest(slice.mean.size());
    for (std::size_t s = 0; s < slices.size(); ++s) {
      if (s != out) rest.Merge(slices[s]);
    }
    if (rest.count < 2) return {};
    // About the mean of the others, so that a slice of one picture counts too.
    const Vector delta = slice.mean - rest.mean;
    const Matrix scatter = slice.scatter + slice.count * delta * delta.transpose();
    variance += (from_factor * scatter * from_factor.transpose()).trace();
    about_zero += slice.count * (from_factor * slice.mean).squaredNorm();
    const TextSpanResult chosen = TextSpan(rest, head_basis, texts, options);
    double sum = 0;
    for (std::size_t t = 0; t < explained.size(); ++t) {
      if (t < chosen.texts.size()) {
        const Vector& weight = chosen.texts[t].weight;
        sum += weight.dot(scatter * weight);
      }
      explained[t] += sum;
    }
  }
  if (variance <= kVarianceTolerance * (variance + about_zero)) return {};
  for (double& share : explained) share = std::clamp(share / variance, 0.0, 1.0);
  return explained;
}

std::vector<std::vector<double>> HeldOutSharesOfHeads(const Statistics& statistics,
                                                      const Basis& basis,
                                                      const std::vector<HeadId>& heads,
                                                      ArrayView<const float, 2> texts,
                                                      const TextSpanOptions& options, int threads) {
  std::vector<std::vector<double>> shares(heads.size());
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    const HeadId id = At(heads, i);
    At(shares, i) = HeldOutShares(statistics.HeadMomentsOfSlices(id), basis.at(id), texts, options);
  });
  return shares;
}

Matrix DirectionsOf(const TextSpanResult& result, ArrayView<const float, 2> head_basis) {
  // A direction d lies in the span of the contributions, so d = Σ y_i e_i for the orthonormal rows
  // e of from_text, and its weight is B d = from_factor^T y, whose rows are orthogonal.
  const HeadCoordinates c = CoordinatesOf(head_basis);
  Matrix y(static_cast<Index>(result.texts.size()), c.rank());
  for (std::size_t t = 0; t < result.texts.size(); ++t) {
    y.row(static_cast<Index>(t)) = (c.from_factor * result.texts[t].weight)
                                       .cwiseQuotient(c.from_factor.rowwise().squaredNorm())
                                       .transpose();
  }
  return nn::Product(nn::Of(y), nn::Of(c.from_text));
}

}  // namespace cliplens
