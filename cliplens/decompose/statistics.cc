#include "cliplens/decompose/statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/io/file.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

double MergedWeight(double a, double b) { return a + b > 0 ? a * b / (a + b) : 0.0; }

void MergeMean(double count, Vector& mean, double other_count, const Vector& other_mean) {
  if (other_count == 0) return;
  mean += (other_mean - mean) * (other_count / (count + other_count));
}

}  // namespace

Index SliceOf(std::string_view item_path, Index slices) {
  const std::string digest = HashBytes(AsBytes(item_path));
  return static_cast<Index>(std::stoull(digest.substr(0, 15), nullptr, 16)) % slices;
}

Moments Moments::WithTrace(Index width) {
  Moments moments;
  moments.mean = Vector::Zero(width);
  moments.trace = 0.0;
  return moments;
}

void Moments::Add(const Matrix& rows) {
  if (rows.rows() == 0) return;
  Moments block(rows.cols());
  block.count = static_cast<double>(rows.rows());
  block.mean = rows.colwise().mean().transpose();
  const Matrix centered = rows.rowwise() - block.mean.transpose();
  block.scatter.noalias() = centered.transpose() * centered;
  Merge(block);
}

void Moments::Merge(const Moments& other) {
  if (other.count == 0) return;
  if (other.mean.size() != mean.size()) {
    throw Error(ErrorCode::kInvalidArgument, "moments of width {} merged with width {}",
                mean.size(), other.mean.size());
  }
  const Vector delta = other.mean - mean;
  if (trace) {
    *trace += other.trace.value() + MergedWeight(count, other.count) * delta.squaredNorm();
    MergeMean(count, mean, other.count, other.mean);
    count += other.count;
    return;
  }
  scatter += other.scatter;
  scatter.noalias() += MergedWeight(count, other.count) * delta * delta.transpose();
  MergeMean(count, mean, other.count, other.mean);
  count += other.count;
}

Matrix Moments::Covariance() const {
  if (count < 2) {
    throw Error(ErrorCode::kPrecondition,
                "the variance of {} pictures is not defined; decompose at least two", count);
  }
  if (trace) throw Error(ErrorCode::kPrecondition, "moments without a covariance");
  return scatter / count;
}

double Moments::Variance(ArrayView<const float, 2> basis) const {
  if (trace) {
    if (count < 2) Moments().Covariance();  // says what is wrong
    return *trace / count;
  }
  const nn::Operand<float> b = nn::Of(basis);
  return nn::Product(b, b.Transposed()).cwiseProduct(Covariance()).sum();
}

Matrix Moments::SecondMoment() const {
  return scatter / std::max(count, 1.0) + mean * mean.transpose();
}

void TraceMoments::Add(const Matrix& rows) {
  if (rows.rows() == 0) return;
  TraceMoments block(rows.cols());
  block.count = static_cast<double>(rows.rows());
  block.mean = rows.colwise().mean().transpose();
  block.trace = (rows.rowwise() - block.mean.transpose()).squaredNorm();
  Merge(block);
}

void TraceMoments::Merge(const TraceMoments& other) {
  if (other.count == 0) return;
  trace += other.trace + MergedWeight(count, other.count) * (other.mean - mean).squaredNorm();
  MergeMean(count, mean, other.count, other.mean);
  count += other.count;
}

namespace {

SliceStatistics MakeSlice(const Components& components, Index factor_width, Index embed_width,
                          bool traces) {
  SliceStatistics s;
  s.heads.assign(ToSize(components.num_heads()),
                 traces ? Moments::WithTrace(factor_width) : Moments(factor_width));
  s.mlps.assign(ToSize(components.num_residual()), TraceMoments(embed_width));
  s.cls_attn.assign(ToSize(components.layers()), TraceMoments(embed_width));
  s.embedding = TraceMoments(embed_width);
  s.shared.assign(ToSize(components.size()), 0.0);
  return s;
}

// Moments about the mean from sums about zero. The sums are moved to a point near the mean in
// integers, so that what is left for fp64 is of the size of the deviations.
class Centering {
 public:
  // `sum` [n] is Σ x of `count` vectors.
  Centering(Index count, std::span<const Fixed> sum) : count_(count) {
    mean = Vector::Zero(static_cast<Index>(sum.size()));
    pivots_.assign(sum.size(), 0);
    rest_.assign(sum.size(), 0);
    if (count == 0) return;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      pivots_[i] = ToPivot(ToDouble(sum[i]) / static_cast<double>(count));
      Fixed rest = -sum[i];
      AddProductTo(rest, count, pivots_[i], std::int64_t{1} << (kFixedBits / 2));
      rest_[i] = ToDouble(-rest);
      mean[static_cast<Index>(i)] = FromPivot(pivots_[i]) + rest_[i] / static_cast<double>(count);
    }
  }

  Vector mean;

  // Σ (x − mean)_i (x − mean)_k, given Σ x_i x_k.
  double Square(Fixed square, std::size_t i, std::size_t k) const {
    if (count_ == 0) return 0;
    AddProductToSquare(square, -count_, pivots_[i], pivots_[k]);
    return SquareToDouble(square) - FromPivot(pivots_[i]) * rest_[k] -
           FromPivot(pivots_[k]) * rest_[i] - rest_[i] * rest_[k] / static_cast<double>(count_);
  }

  // Σ |x − mean|², given Σ |x|².
  double Trace(Fixed square) const {
    if (count_ == 0) return 0;
    double moved = 0;
    for (std::size_t i = 0; i < pivots_.size(); ++i) {
      AddProductToSquare(square, -count_, pivots_[i], pivots_[i]);
      moved +=
          2 * FromPivot(pivots_[i]) * rest_[i] + rest_[i] * rest_[i] / static_cast<double>(count_);
    }
    return SquareToDouble(square) - moved;
  }

 private:
  Index count_;
  std::vector<std::int64_t> pivots_;
  std::vector<double> rest_;  // Σ (x − pivot)
};

// `square` holds the triangle of Σ x x^T.
void FillMoments(Moments& moments, Index count, std::span<const Fixed> sum,
                 std::span<const Fixed> square) {
  const Centering centering(count, sum);
  moments.count = static_cast<double>(count);
  moments.mean = centering.mean;
  std::size_t at = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    for (std::size_t k = i; k < sum.size(); ++k) {
      double value = centering.Square(square[at++], i, k);
      if (i == k) value = std::max(value, 0.0);  // rounding, of one picture above all
      moments.scatter(static_cast<Index>(i), static_cast<Index>(k)) = value;
      moments.scatter(static_cast<Index>(k), static_cast<Index>(i)) = value;
    }
  }
}

void FillTrace(TraceMoments& moments, Index count, std::span<const Fixed> sum, Fixed square) {
  const Centering centering(count, sum);
  moments.count = static_cast<double>(count);
  moments.mean = centering.mean;
  moments.trace = std::max(centering.Trace(square), 0.0);
}

}  // namespace

Statistics::Statistics(const StatisticsSums& sums, const Basis& basis)
    : components_(sums.components()),
      factor_width_(sums.factor_width()),
      embed_width_(sums.embed_width()),
      traces_(sums.has_traces()) {
  using S = StatisticsSums;
  const auto part = [&](S::Tensor tensor, Index number, Index width) {
    return sums.values(tensor).subspan(ToSize(number * width), ToSize(width));
  };
  const Components parts = components();
  const Index heads = parts.num_heads();
  slices_.assign(ToSize(sums.slices()),
                 MakeSlice(components(), factor_width_, embed_width_, traces_));
  for (Index s = 0; s < slices(); ++s) {
    SliceStatistics& slice = At(slices_, s);
    const Index count = sums.count(s);
    for (Index i = 0; i < heads; ++i) {
      if (traces_) {
        Moments& head = At(slice.heads, i);
        TraceMoments filled;
        FillTrace(filled, count, part(S::kHeadSum, s * heads + i, factor_width_),
                  part(S::kHeadSquare, s * heads + i, 1)[0]);
        head.count = filled.count;
        head.mean = std::move(filled.mean);
        head.trace = filled.trace;
        continue;
      }
      FillMoments(At(slice.heads, i), count, part(S::kHeadSum, s * heads + i, factor_width_),
                  part(S::kHeadSquare, s * heads + i, TriangleSize(factor_width_)));
    }
    const auto traces = [&](std::vector<TraceMoments>& moments, S::Tensor sum, S::Tensor square) {
      const auto n = static_cast<Index>(moments.size());
      for (Index i = 0; i < n; ++i) {
        FillTrace(At(moments, i), count, part(sum, s * n + i, embed_width_),
                  part(square, s * n + i, 1)[0]);
      }
    };
    traces(slice.mlps, S::kMlpSum, S::kMlpSquare);
    traces(slice.cls_attn, S::kClsAttnSum, S::kClsAttnSquare);
    FillTrace(slice.embedding, count, part(S::kEmbeddingSum, s, embed_width_),
              part(S::kEmbeddingSquare, s, 1)[0]);
    // Σ ⟨c − mean c, e − mean e⟩ = Σ ⟨c, e⟩ − count ⟨mean c, mean e⟩.
    const std::span<const Fixed> shared = part(S::kShared, s, parts.size());
    for (Index i = 0; i < parts.size(); ++i) {
      const auto at = ToSize(i);
      double between = 0;
      if (i < heads) {
        const Vector& mean = slice.heads[at].mean;
        const auto b = AsEigen(basis.at(components().HeadAt(i)));
        between = basis.is_identity() ? mean.dot(slice.embedding.mean)
                                      : mean.dot(b.cast<double>() * slice.embedding.mean);
      } else {
        between = slice.mlps[at - ToSize(heads)].mean.dot(slice.embedding.mean);
      }
      slice.shared[at] = ToDouble(shared[at]) - static_cast<double>(count) * between;
    }
  }
}

Index Statistics::images() const {
  double n = 0;
  for (const SliceStatistics& s : slices_) n += s.embedding.count;
  return static_cast<Index>(n);
}

// Slice by slice into their sum. What a component shares with the embedding has a part that lies
// between the two means; `basis` turns heads' mean factors into contributions for it.
SliceStatistics Statistics::Total(const Basis& basis) const {
  SliceStatistics total = MakeSlice(components(), factor_width_, embed_width_, traces_);
  std::vector<double> weights;
  std::vector<Vector> deltas;
  for (const SliceStatistics& s : slices_) {
    weights.push_back(MergedWeight(total.embedding.count, s.embedding.count));
    deltas.push_back(s.embedding.mean - total.embedding.mean);
    total.embedding.Merge(s.embedding);
  }
  const auto heads = static_cast<Index>(total.heads.size());
  ParallelFor(/*threads=*/0, heads, [&](Index i, int) {
    const auto at = ToSize(i);
    const bool identity = basis.is_identity();
    Matrix b;
    if (!identity) b = AsEigen(basis.at(components().HeadAt(i))).cast<double>();
    for (std::size_t s = 0; s < slices_.size(); ++s) {
      const Moments& head = slices_[s].heads[at];
      const Vector delta = head.mean - total.heads[at].mean;
      const double between = identity ? delta.dot(deltas[s]) : delta.dot(b * deltas[s]);
      total.shared[at] += slices_[s].shared[at] + weights[s] * between;
      total.heads[at].Merge(head);
    }
  });
  for (std::size_t s = 0; s < slices_.size(); ++s) {
    const SliceStatistics& slice = slices_[s];
    for (std::size_t i = 0; i < slice.mlps.size(); ++i) {
      const std::size_t at = slice.heads.size() + i;
      total.shared[at] +=
          slice.shared[at] + weights[s] * (slice.mlps[i].mean - total.mlps[i].mean).dot(deltas[s]);
      total.mlps[i].Merge(slice.mlps[i]);
    }
    for (std::size_t i = 0; i < slice.cls_attn.size(); ++i) {
      total.cls_attn[i].Merge(slice.cls_attn[i]);
    }
  }
  return total;
}

std::vector<Moments> Statistics::HeadMomentsOfSlices(HeadId id) const {
  if (traces_) {
    if (of_factors_) return of_factors_(id);
    throw Error(ErrorCode::kUnsupported,
                "{}: these statistics have no covariance of heads; the factors of a store have",
                HeadName(id));
  }
  std::vector<Moments> moments;
  moments.reserve(slices_.size());
  for (const SliceStatistics& s : slices_) {
    moments.push_back(At(s.heads, components().NumberOf(id)));
  }
  return moments;
}

Moments Statistics::HeadMoments(HeadId id) const {
  Moments total(factor_width_);
  for (const Moments& moments : HeadMomentsOfSlices(id)) total.Merge(moments);
  return total;
}

}  // namespace cliplens
