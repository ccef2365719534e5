#include "cliplens/neurons/neuron_directions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
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
constexpr Index kNeuronsAtATime = 32;

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

// Orthonormal columns that span those of `a` [n, k], by Gram and Schmidt, twice.
Matrix OrthonormalOf(const Matrix& a) {
  Matrix q = a;
  for (Index k = 0; k < q.cols(); ++k) {
    for (int pass = 0; pass < 2; ++pass) {
      for (Index j = 0; j < k; ++j) q.col(k) -= q.col(j).dot(q.col(k)) * q.col(j);
    }
    const double length = q.col(k).norm();
    // A column that depends on those before it adds nothing.
    q.col(k) = length > 1e-300 ? Vector(q.col(k) / length) : Vector(Vector::Zero(q.rows()));
  }
  return q;
}

// The first singular direction of rows with second moments m, its sign as it comes.
struct First {
  Vector direction;
  double explained = 0;
};
// Subspace iteration with as many vectors as make it converge fast, since neurons have few
// directions; the whole decomposition, ten times as long, where it does not.
First FirstOf(const Matrix& moments) {
  constexpr Index kVectors = 8;
  constexpr int kIterations = 60;
  constexpr double kResidual = 1e-13;
  const double trace = moments.trace();
  const Index size = moments.rows();
  if (!(trace > 0)) return {Vector::Zero(size), 0};
  if (size > 2 * kVectors) {
    std::vector<Index> order(ToSize(size));
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::stable_sort(order, std::greater<>(), [&](Index i) { return moments(i, i); });
    Matrix vectors = Matrix::Zero(size, kVectors);
    for (Index k = 0; k < kVectors; ++k) vectors(At(order, k), k) = 1;
    for (int i = 0; i < kIterations; ++i) {
      const Matrix image = nn::Product(nn::Of(moments), nn::Of(vectors));
      const SymmetricEigen ritz =
          EigenOfSymmetric(nn::Product(nn::Of(vectors).Transposed(), nn::Of(image)));
      const Vector first = ritz.vectors.col(0);
      const Vector direction = vectors * first;
      if ((image * first - ritz.values[0] * direction).norm() <= kResidual * ritz.values[0]) {
        return {direction.normalized(), ritz.values[0] / trace};
      }
      vectors = OrthonormalOf(image);
    }
  }
  const SymmetricEigen eigen = EigenOfSymmetric(moments);
  return {eigen.vectors.col(0), eigen.values[0] / trace};
}

// What is the same for all neurons of a layer.
struct Layer {
  const NeuronPaths& paths;
  Index top;
  RowVector mean_shared;
  Span kappa;  // of paths.shared()

  Layer(const NeuronPaths& of, Index most, RowVector mean)
      : paths(of), top(most), mean_shared(std::move(mean)), kappa(SpanOf(of.shared())) {}
  // κ less its mean, of some pictures, along its span [B, r]. `shared` [B, 2J+2Q+1].
  Matrix KappaRows(ArrayView<const float, 2> shared) const {
    Matrix centred = AsEigen(shared).cast<double>();
    centred.rowwise() -= mean_shared;
    return nn::Product(nn::Of(centred), nn::Of(kappa.coordinates));
  }
};

// Orthonormal coordinates of a neuron's effects: along what D_n has beside the span of κ, then
// along that span.
struct NeuronCoordinates {
  Matrix from_alpha;  // [J, c]
  Matrix basis;       // [c, E]

  // `directions`: D [J, E].
  NeuronCoordinates(const Layer& layer, const Matrix& directions) {
    const Matrix along = nn::Product(nn::Of(directions), nn::Of(layer.kappa.rows).Transposed());
    const Span own = SpanOf(directions - nn::Product(nn::Of(along), nn::Of(layer.kappa.rows)));
    from_alpha.resize(directions.rows(), own.rows.rows() + along.cols());
    from_alpha << own.coordinates, along;
    basis.resize(from_alpha.cols(), directions.cols());
    basis << own.rows, layer.kappa.rows;
  }
  // Effects [B, c] of α less its mean [B, J].
  Matrix Effects(const Matrix& centred, const Matrix& kappa_rows) const {
    Matrix effects = Matrix::Zero(centred.rows(), from_alpha.cols());
    effects.rightCols(kappa_rows.cols()) = kappa_rows;
    nn::AddProduct(nn::Of(centred), nn::Of(from_alpha), effects);
    return effects;
  }
};

// What all pictures say of one neuron, in its coordinates.
struct NeuronSummary {
  double pictures = 0;
  RowVector mean_alpha;     // [J]
  Matrix moments;           // [c, c] Σ φ̃ φ̃^T
  Matrix together;          // [J, c] Σ α̃ φ̃^T
  std::vector<Index> most;  // the pictures of largest effect, largest first
  std::vector<double> norms;
  Matrix rows;  // [k, c] their effects
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

void PutNeuron(const NeuronCoordinates& coordinates, const NeuronSummary& summary, Index n,
               NeuronDirections& out) {
  std::ranges::copy(summary.mean_alpha, out.mean_alpha.row(n).data());
  const auto write = [&](const Matrix& moments, Array<float, 2>& direction,
                         std::vector<float>& explained) {
    const First first = FirstOf(moments);
    Vector along = summary.rows * first.direction;
    RowVector unit = first.direction.transpose() * coordinates.basis;
    Orient(along, unit);
    std::ranges::transform(unit, direction.row(n).begin(),
                           [](double v) { return static_cast<float>(v); });
    At(explained, n) = static_cast<float>(first.explained);
    return along;
  };
  write(summary.moments, out.all, out.all_explained);
  const Vector along = write(nn::Product(nn::Of(summary.rows).Transposed(), nn::Of(summary.rows)),
                             out.top, out.top_explained);
  for (Index i = 0; i < std::ssize(summary.most); ++i) {
    out.top_pictures(n, i) = At(summary.most, i);
    out.top_norm(n, i) = static_cast<float>(At(summary.norms, i));
    out.top_along(n, i) = static_cast<float>(along[i]);
  }
  const double variance = summary.moments.trace() / summary.pictures;
  At(out.variance, n) = static_cast<float>(variance);
  for (Index j = 0; j < out.channel_share.dim(1); ++j) {
    const double share =
        summary.together.row(j).dot(coordinates.from_alpha.row(j)) / summary.pictures;
    out.channel_share(n, j) = variance > 0 ? static_cast<float>(share / variance) : 0.0f;
  }
}

// Of all pictures at once.
NeuronSummary SummaryOf(const Layer& layer, const NeuronCoordinates& coordinates,
                        const Matrix& kappa_rows, ArrayView<const float, 2> alpha) {
  NeuronSummary summary;
  Matrix centred = AsEigen(alpha).cast<double>();
  summary.pictures = static_cast<double>(centred.rows());
  summary.mean_alpha = centred.colwise().mean();
  centred.rowwise() -= summary.mean_alpha;
  const Matrix effects = coordinates.Effects(centred, kappa_rows);
  const Vector norms = effects.rowwise().norm();
  summary.most.resize(ToSize(effects.rows()));
  std::iota(summary.most.begin(), summary.most.end(), Index{0});
  std::ranges::partial_sort(summary.most, summary.most.begin() + layer.top, [&](Index a, Index b) {
    return norms[a] != norms[b] ? norms[a] > norms[b] : a < b;
  });
  summary.most.resize(ToSize(layer.top));
  summary.rows.resize(layer.top, effects.cols());
  for (Index i = 0; i < layer.top; ++i) {
    summary.rows.row(i) = effects.row(At(summary.most, i));
    summary.norms.push_back(norms[At(summary.most, i)]);
  }
  summary.moments = nn::Product(nn::Of(effects).Transposed(), nn::Of(effects));
  summary.together = nn::Product(nn::Of(centred).Transposed(), nn::Of(effects));
  return summary;
}

NeuronDirections MakeDirections(const NeuronPaths& paths, Index top, const RowVector& mean_shared) {
  const Index neurons = paths.neurons();
  NeuronDirections out;
  out.mean_alpha = Array<double, 2>({neurons, paths.channels()});
  out.mean_shared.assign(mean_shared.begin(), mean_shared.end());
  out.top = Array<float, 2>({neurons, paths.embed_width()});
  out.all = Array<float, 2>({neurons, paths.embed_width()});
  out.channel_share = Array<float, 2>({neurons, paths.channels()});
  out.top_pictures = Array<std::int64_t, 2>({neurons, top});
  out.top_norm = Array<float, 2>({neurons, top});
  out.top_along = Array<float, 2>({neurons, top});
  for (std::vector<float>* values : {&out.top_explained, &out.all_explained, &out.variance}) {
    values->resize(ToSize(neurons));
  }
  return out;
}

void CheckEnough(Index pictures, Index top) {
  if (top < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "a direction from the {} pictures of largest effect; ask for one or more", top);
  }
  if (pictures < 2) {
    throw Error(ErrorCode::kPrecondition,
                "{} pictures: a neuron's effect varies over two at least; collect more", pictures);
  }
}

}  // namespace

double ShareOfHead(const NeuronPaths& paths, const NeuronDirections& directions, Index neuron,
                   Index head) {
  const Index pools = paths.pools();
  double share = 0;
  for (Index j = head * pools; j < (head + 1) * pools; ++j) {
    share += double{directions.channel_share(neuron, j)};
  }
  return share;
}

EmbeddingMoments MomentsOfEmbeddings(ArrayView<const float, 2> embeddings) {
  Matrix rows = AsEigen(embeddings).cast<double>();
  const RowVector mean = rows.colwise().mean();
  rows.rowwise() -= mean;
  return {{mean.begin(), mean.end()}, rows.squaredNorm() / static_cast<double>(rows.rows())};
}

void RunningMoments::Add(ArrayView<const float, 2> embeddings) {
  const Matrix rows = AsEigen(embeddings).cast<double>();
  sum_ += rows.colwise().sum();
  squares_ += rows.squaredNorm();
  count_ += rows.rows();
}

EmbeddingMoments RunningMoments::Finish() const {
  const auto count = static_cast<double>(count_);
  const RowVector mean = sum_ / count;
  return {{mean.begin(), mean.end()}, std::max(0.0, squares_ / count - mean.squaredNorm())};
}

NeuronDirections DirectionsOf(const NeuronPaths& paths, const NeuronFactors& factors, Index top,
                              int threads, ProgressCount& progress) {
  CheckEnough(factors.pictures, top);
  top = std::min(top, factors.pictures);
  const Layer layer(paths, top, AsEigen(factors.shared.view()).cast<double>().colwise().mean());
  const Matrix kappa_rows = layer.KappaRows(factors.shared.view());
  NeuronDirections out = MakeDirections(paths, top, layer.mean_shared);
  const Index neurons = paths.neurons();
  const Index bytes = factors.pictures * paths.channels() * Index{sizeof(float)};
  const Index at_a_time = std::clamp<Index>(kAlphaBytes / bytes, 1, kNeuronsAtATime);
  ParallelFor(threads, (neurons + at_a_time - 1) / at_a_time, [&](Index task, int) {
    const Index first = task * at_a_time;
    const Index count = std::min(at_a_time, neurons - first);
    const Array<float, 3> alpha = factors.alpha(first, count);
    const std::vector<Matrix> of_neurons = paths.Directions(first, count);
    for (Index n = first; n < first + count; ++n) {
      const NeuronCoordinates coordinates(layer, At(of_neurons, n - first));
      PutNeuron(coordinates, SummaryOf(layer, coordinates, kappa_rows, alpha.view()[n - first]), n,
                out);
      progress.Add(1);
    }
  });
  return out;
}

// What is kept of a layer while pictures come in. Flat in the number of pictures.
struct RunningDirections::State {
  // A picture of large effect.
  struct Entry {
    Index picture;
    double norm;
    RowVector row;  // its effect, in the neuron's coordinates
  };
  // Better entries first.
  static bool Before(const Entry& a, const Entry& b) {
    return a.norm != b.norm ? a.norm > b.norm : a.picture < b.picture;
  }

  std::vector<Matrix> alpha_alpha;   // [F] of [J, J] Σ α α^T
  std::vector<Matrix> alpha_shared;  // [F] of [J, 2J+2Q+1]
  Matrix shared_shared;
  Matrix sum_alpha;  // [F, J]
  RowVector sum_shared;
  // Of the second pass:
  std::optional<Layer> layer;
  std::vector<NeuronCoordinates> coordinates;
  std::vector<std::vector<Entry>> most;  // [F] heaps whose first entry is the least
};

RunningDirections::RunningDirections(const NeuronPaths& paths, Index top)
    : paths_(paths), top_(top), state_(std::make_unique<State>()) {
  const Index channels = paths.channels();
  const Index shared = paths.shared().rows();
  state_->alpha_alpha.assign(ToSize(paths.neurons()), Matrix::Zero(channels, channels));
  state_->alpha_shared.assign(ToSize(paths.neurons()), Matrix::Zero(channels, shared));
  state_->shared_shared = Matrix::Zero(shared, shared);
  state_->sum_alpha = Matrix::Zero(paths.neurons(), channels);
  state_->sum_shared = RowVector::Zero(shared);
}
RunningDirections::~RunningDirections() = default;
RunningDirections::RunningDirections(RunningDirections&&) noexcept = default;

void RunningDirections::AddMoments(const Array<float, 3>& alpha, const Array<float, 2>& shared,
                                   int threads) {
  State& s = *state_;
  pictures_ += shared.dim(0);
  const Matrix constants = AsEigen(shared.view()).cast<double>();
  s.sum_shared += constants.colwise().sum();
  nn::AddProduct(nn::Of(constants).Transposed(), nn::Of(constants), s.shared_shared);
  ParallelFor(threads, paths_.neurons(), [&](Index n, int) {
    const Matrix own = AsEigen(alpha.view()[n]).cast<double>();
    s.sum_alpha.row(n) += own.colwise().sum();
    nn::AddProduct(nn::Of(own).Transposed(), nn::Of(own), At(s.alpha_alpha, n));
    nn::AddProduct(nn::Of(own).Transposed(), nn::Of(constants), At(s.alpha_shared, n));
  });
}

void RunningDirections::BeginEffects(int threads) {
  State& s = *state_;
  CheckEnough(pictures_, top_);
  top_ = std::min(top_, pictures_);
  const auto count = static_cast<double>(pictures_);
  s.layer.emplace(paths_, top_, s.sum_shared / count);
  s.most.resize(ToSize(paths_.neurons()));
  std::vector<std::optional<NeuronCoordinates>> made(ToSize(paths_.neurons()));
  const Index tasks = (paths_.neurons() + kNeuronsAtATime - 1) / kNeuronsAtATime;
  ParallelFor(threads, tasks, [&](Index task, int) {
    const Index first = task * kNeuronsAtATime;
    const Index some = std::min(kNeuronsAtATime, paths_.neurons() - first);
    const std::vector<Matrix> of_neurons = paths_.Directions(first, some);
    for (Index n = 0; n < some; ++n) At(made, first + n).emplace(*s.layer, At(of_neurons, n));
  });
  for (std::optional<NeuronCoordinates>& c : made) s.coordinates.push_back(std::move(*c));
}

void RunningDirections::AddEffects(const Array<float, 3>& alpha, const Array<float, 2>& shared,
                                   Index first, int threads) {
  State& s = *state_;
  const Matrix kappa_rows = s.layer->KappaRows(shared.view());
  const auto count = static_cast<double>(pictures_);
  ParallelFor(threads, paths_.neurons(), [&](Index n, int) {
    Matrix centred = AsEigen(alpha.view()[n]).cast<double>();
    centred.rowwise() -= s.sum_alpha.row(n) / count;
    const Matrix effects = At(s.coordinates, n).Effects(centred, kappa_rows);
    std::vector<State::Entry>& heap = At(s.most, n);
    for (Index b = 0; b < effects.rows(); ++b) {
      const State::Entry entry{first + b, effects.row(b).norm(), {}};
      const bool room = std::ssize(heap) < top_;
      if (!room && !State::Before(entry, heap.front())) continue;
      if (!room) {
        std::ranges::pop_heap(heap, State::Before);
        heap.pop_back();
      }
      heap.push_back({entry.picture, entry.norm, effects.row(b)});
      std::ranges::push_heap(heap, State::Before);
    }
  });
}

NeuronDirections RunningDirections::Finish(int threads) {
  State& s = *state_;
  NeuronDirections out = MakeDirections(paths_, top_, s.layer->mean_shared);
  const auto count = static_cast<double>(pictures_);
  const Matrix& along_kappa = s.layer->kappa.coordinates;  // [2J+2Q+1, r]
  const Matrix shared_centred = s.shared_shared - s.sum_shared.transpose() * s.sum_shared / count;
  const Matrix kappa_moments = along_kappa.transpose() * shared_centred * along_kappa;  // [r, r]
  ParallelFor(threads, paths_.neurons(), [&](Index n, int) {
    const NeuronCoordinates& c = At(s.coordinates, n);
    const Index r = along_kappa.cols();
    NeuronSummary summary;
    summary.pictures = count;
    summary.mean_alpha = s.sum_alpha.row(n) / count;
    const Matrix own =
        At(s.alpha_alpha, n) - s.sum_alpha.row(n).transpose() * s.sum_alpha.row(n) / count;
    const Matrix mixed =
        (At(s.alpha_shared, n) - s.sum_alpha.row(n).transpose() * s.sum_shared / count) *
        along_kappa;  // [J, r]
    summary.together = own * c.from_alpha;
    summary.together.rightCols(r) += mixed;
    summary.moments = c.from_alpha.transpose() * summary.together;
    summary.moments.bottomRows(r) += mixed.transpose() * c.from_alpha;
    summary.moments.bottomRightCorner(r, r) += kappa_moments;
    std::vector<State::Entry>& most = At(s.most, n);
    std::ranges::sort(most, State::Before);
    summary.rows.resize(std::ssize(most), c.from_alpha.cols());
    for (Index i = 0; i < std::ssize(most); ++i) {
      summary.most.push_back(At(most, i).picture);
      summary.norms.push_back(At(most, i).norm);
      summary.rows.row(i) = At(most, i).row;
    }
    PutNeuron(c, summary, n, out);
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
