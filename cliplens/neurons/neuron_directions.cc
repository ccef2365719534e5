#include "cliplens/neurons/neuron_directions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// Eigenvalues below this share of the largest are rounding.
constexpr double kSpanTolerance = 1e-13;
// Memory for the coefficients that one thread holds at a time.
constexpr Index kAlphaBytes = Index{64} << 20;

// Orthonormal rows Q [r, E] that span the rows of `a` [n, E], and a Q^T [n, r].
struct Span {
  Matrix rows;
  Matrix coordinates;
};
Span SpanOf(const Matrix& a) {
  const SymmetricEigen gram = EigenOfSymmetric(nn::Product(nn::Of(a), nn::Of(a).Transposed()));
  Index rank = 0;
  while (rank < gram.values.size() && gram.values[rank] > kSpanTolerance * gram.values[0] &&
         gram.values[rank] > 0) {
    ++rank;
  }
  const Matrix vectors = gram.vectors.leftCols(rank).transpose();
  Span span;
  span.rows = gram.values.head(rank).cwiseSqrt().cwiseInverse().asDiagonal() *
              nn::Product(nn::Of(vectors), nn::Of(a));
  span.coordinates = nn::Product(nn::Of(a), nn::Of(span.rows).Transposed());
  return span;
}

// The first singular direction of rows with second moments m, its sign as it comes.
struct First {
  Vector direction;
  double explained = 0;
};
First FirstOf(const Matrix& moments) {
  const double trace = moments.trace();
  if (!(trace > 0)) return {Vector::Zero(moments.rows()), 0};
  const SymmetricEigen eigen = EigenOfSymmetric(moments);
  return {eigen.vectors.col(0), eigen.values[0] / trace};
}

// What is the same for all neurons.
struct Layer {
  const NeuronPaths& paths;
  const NeuronFactors& factors;
  Index top;
  RowVector mean_shared;
  Span kappa;         // of paths.shared()
  Matrix kappa_rows;  // [pictures, r] κ less its mean
};

// Turns a unit `direction` [E] so that more than half of the rows, whose coordinates are `along`,
// point along it.
void Orient(Vector& along, RowVector& direction) {
  Index largest = 0;
  if (direction.cwiseAbs().maxCoeff(&largest) == 0) return;
  if (direction[largest] < 0) {
    along = -along;
    direction = -direction;
  }
  const Index positive = (along.array() > 0).count();
  if (positive > along.size() / 2) return;
  along = -along;
  direction = -direction;
}

void FillNeuron(const Layer& layer, Index n, ArrayView<const float, 2> alpha,
                NeuronDirections& out) {
  const Index pictures = alpha.dim(0);
  const Index channels = alpha.dim(1);
  Matrix centred = AsEigen(alpha).cast<double>();
  const RowVector mean = centred.colwise().mean();
  centred.rowwise() -= mean;
  std::copy_n(mean.data(), channels, out.mean_alpha.row(n).data());

  // Coordinates of φ̃: along the span of κ, and along what D_n has beside it.
  const Matrix directions = layer.paths.Directions(n);
  const Index shared = layer.kappa.rows.rows();
  const Matrix along_kappa =
      nn::Product(nn::Of(directions), nn::Of(layer.kappa.rows).Transposed());  // [J, r]
  const Span own = SpanOf(directions - nn::Product(nn::Of(along_kappa), nn::Of(layer.kappa.rows)));
  const Index rank = own.rows.rows();
  Matrix from_alpha(channels, rank + shared);
  from_alpha << own.coordinates, along_kappa;
  Matrix basis(rank + shared, directions.cols());
  basis << own.rows, layer.kappa.rows;
  Matrix effects = Matrix::Zero(pictures, rank + shared);
  effects.rightCols(shared) = layer.kappa_rows;
  nn::AddProduct(nn::Of(centred), nn::Of(from_alpha), effects);

  const Vector norms = effects.rowwise().norm();
  std::vector<Index> order(ToSize(pictures));
  std::iota(order.begin(), order.end(), Index{0});
  const auto more = [&](Index a, Index b) {
    return norms[a] != norms[b] ? norms[a] > norms[b] : a < b;
  };
  std::ranges::partial_sort(order, order.begin() + layer.top, more);
  Matrix most(layer.top, effects.cols());
  for (Index i = 0; i < layer.top; ++i) most.row(i) = effects.row(At(order, i));

  const auto write = [&](const Matrix& moments, Array<float, 2>& direction,
                         std::vector<float>& explained) {
    const First first = FirstOf(moments);
    Vector along = most * first.direction;
    RowVector unit = first.direction.transpose() * basis;
    Orient(along, unit);
    std::ranges::transform(unit, direction.row(n).begin(),
                           [](double v) { return static_cast<float>(v); });
    At(explained, n) = static_cast<float>(first.explained);
    return along;
  };
  const Matrix moments = nn::Product(nn::Of(effects).Transposed(), nn::Of(effects));
  write(moments, out.all, out.all_explained);
  const Vector along =
      write(nn::Product(nn::Of(most).Transposed(), nn::Of(most)), out.top, out.top_explained);
  for (Index i = 0; i < layer.top; ++i) {
    out.top_pictures(n, i) = At(order, i);
    out.top_norm(n, i) = static_cast<float>(norms[At(order, i)]);
    out.top_along(n, i) = static_cast<float>(along[i]);
  }
  const double variance = moments.trace() / static_cast<double>(pictures);
  At(out.variance, n) = static_cast<float>(variance);
  const Matrix together = nn::Product(nn::Of(centred).Transposed(), nn::Of(effects));
  for (Index j = 0; j < channels; ++j) {
    const double share = together.row(j).dot(from_alpha.row(j)) / static_cast<double>(pictures);
    out.channel_share(n, j) = variance > 0 ? static_cast<float>(share / variance) : 0.0f;
  }
}

}  // namespace

EmbeddingMoments MomentsOfEmbeddings(ArrayView<const float, 2> embeddings) {
  Matrix rows = AsEigen(embeddings).cast<double>();
  const RowVector mean = rows.colwise().mean();
  rows.rowwise() -= mean;
  return {{mean.begin(), mean.end()}, rows.squaredNorm() / static_cast<double>(rows.rows())};
}

NeuronDirections DirectionsOf(const NeuronPaths& paths, const NeuronFactors& factors, Index top,
                              int threads, ProgressCount& progress) {
  if (top < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "a direction from the {} pictures of largest effect; ask for one or more", top);
  }
  if (factors.pictures < 2) {
    throw Error(ErrorCode::kPrecondition,
                "{} pictures: a neuron's effect varies over two at least; collect more",
                factors.pictures);
  }
  const Index neurons = paths.neurons();
  const Index channels = paths.channels();
  const Index width = paths.embed_width();
  top = std::min(top, factors.pictures);

  Matrix shared = AsEigen(factors.shared.view()).cast<double>();
  Layer layer{paths, factors, top, shared.colwise().mean(), SpanOf(paths.shared()), {}};
  shared.rowwise() -= layer.mean_shared;
  layer.kappa_rows = nn::Product(nn::Of(shared), nn::Of(layer.kappa.coordinates));

  NeuronDirections out;
  out.mean_alpha = Array<double, 2>({neurons, channels});
  out.mean_shared.assign(layer.mean_shared.begin(), layer.mean_shared.end());
  out.top = Array<float, 2>({neurons, width});
  out.all = Array<float, 2>({neurons, width});
  out.channel_share = Array<float, 2>({neurons, channels});
  out.top_pictures = Array<std::int64_t, 2>({neurons, top});
  out.top_norm = Array<float, 2>({neurons, top});
  out.top_along = Array<float, 2>({neurons, top});
  for (std::vector<float>* values : {&out.top_explained, &out.all_explained, &out.variance}) {
    values->resize(ToSize(neurons));
  }
  const Index bytes = factors.pictures * channels * Index{sizeof(float)};
  const Index at_a_time = std::clamp<Index>(kAlphaBytes / bytes, 1, 64);
  ParallelFor(threads, (neurons + at_a_time - 1) / at_a_time, [&](Index task, int) {
    const Index first = task * at_a_time;
    const Index count = std::min(at_a_time, neurons - first);
    const Array<float, 3> alpha = factors.alpha(first, count);
    for (Index n = 0; n < count; ++n) {
      FillNeuron(layer, first + n, alpha.view()[n], out);
      progress.Add(1);
    }
  });
  return out;
}

Matrix CentredEffects(const NeuronPaths& paths, const NeuronDirections& directions, Index neuron,
                      ArrayView<const float, 2> alpha, ArrayView<const float, 2> shared) {
  Matrix own = AsEigen(alpha).cast<double>();
  own.rowwise() -=
      Eigen::Map<const RowVector>(directions.mean_alpha.row(neuron).data(), own.cols());
  Matrix constants = AsEigen(shared).cast<double>();
  constants.rowwise() -=
      Eigen::Map<const RowVector>(directions.mean_shared.data(), constants.cols());
  return nn::Product(nn::Of(own), nn::Of(paths.Directions(neuron))) +
         nn::Product(nn::Of(constants), nn::Of(paths.shared()));
}

}  // namespace cliplens
