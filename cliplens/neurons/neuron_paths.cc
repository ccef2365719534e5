#include "cliplens/neurons/neuron_paths.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

Vector VectorOf(std::span<const float> values) {
  return Eigen::Map<const Eigen::VectorXf>(values.data(), std::ssize(values)).cast<double>();
}

// What each channel writes of values x [H·K]: [H·Q, E]. `writes` [H·Q·K, E].
Matrix WrittenByChannel(const Vector& x, const Matrix& writes, Index heads) {
  const Index width = x.size() / heads;
  const Index channels = writes.rows() / width;
  const Index pools = channels / heads;
  Matrix written(channels, writes.cols());
  for (Index c = 0; c < channels; ++c) {
    written.row(c) =
        x.segment(c / pools * width, width).transpose() * writes.middleRows(c * width, width);
  }
  return written;
}

// Columns [E·Q, H·K'] of what directions pull back, as blocks of K rows for each channel: of a
// head's K' numbers the first K (TowerConfig::output_width).
Matrix WritesOf(const Matrix& pulled_back, Index heads, Index width, Index pools) {
  const Index output_width = pulled_back.cols() / heads;
  const Index embed_width = pulled_back.rows() / pools;
  Matrix writes(heads * pools * width, embed_width);
  for (Index h = 0; h < heads; ++h) {
    for (Index p = 0; p < pools; ++p) {
      for (Index k = 0; k < width; ++k) {
        const Index row = (h * pools + p) * width + k;
        for (Index e = 0; e < embed_width; ++e) {
          writes(row, e) = pulled_back(e * pools + p, h * output_width + k);
        }
      }
    }
  }
  return writes;
}

// What a LayerNorm behind a matrix makes of its columns: γ ⊙ C x.
Matrix BehindNorm(const Matrix& columns, std::span<const float> gain) {
  return VectorOf(gain).asDiagonal() * (columns.rowwise() - columns.colwise().mean());
}

void CheckLayer(Index layer, Index layers) {
  if (layer >= 0 && layer + 1 < layers) return;
  throw Error(ErrorCode::kInvalidArgument,
              "neurons of layer {}: layers 0 to {} have attention after them", layer, layers - 2);
}

}  // namespace

CaptureRequest NeuronPaths::CapturesFor(LayerRange layers) {
  const LayerRange later = {layers.begin + 1, kAllLayers.end};
  return {
      .pattern = later, .sub_norm = later, .norm1 = later, .mlp_norm = layers, .hidden = layers};
}

NeuronPaths::NeuronPaths(const Tower& tower, const Readout& readout, Index layer, int threads)
    : layer_(layer), heads_(tower.config().heads), pools_(readout.pools()) {
  const TowerConfig& config = tower.config();
  if (readout.has_norm_behind_pool()) {
    throw Error(ErrorCode::kUnsupported,
                "neurons: their effects through a LayerNorm behind an attention pool (CoCa) are "
                "not computed; heads and MLPs are: cliplens decompose");
  }
  CheckLayer(layer, config.layers);
  const Index later = config.layers - 1 - layer;
  const Index width = config.width;
  const Index embed_width = readout.embed_width();
  const MatrixF identity = MatrixF::Identity(embed_width, embed_width);
  const ReadoutDirections against =
      readout.Against(ArrayView<const float, 2>(identity.data(), {embed_width, embed_width}),
                      threads, {layer + 1, config.layers});
  const Array<float, 2> stored = tower.Weight(layer, Tower::Matrix::kMlpOut);
  Matrix mlp_out = AsEigen(stored.view()).cast<double>();  // [D, F]
  if (config.post_norm) mlp_out = BehindNorm(mlp_out, tower.NormGain(layer, 1));
  values_.resize(ToSize(later));
  writes_.resize(ToSize(later));
  std::vector<Matrix> read(ToSize(later));    // diag(γ_a) W_V diag(γ_1) [H·K, D]
  std::vector<Vector> biases(ToSize(later));  // γ_a (W_V β_1 + b_V) [H·K]
  ParallelFor(threads, later, [&](Index at, int) {
    const Index l = layer + 1 + at;
    const Array<float, 2> value = tower.Weight(l, Tower::Matrix::kValue);
    Matrix weights = AsEigen(value.view()).cast<double>();
    Vector bias = VectorOf(tower.Bias(l, Tower::Matrix::kValue));
    if (config.sub_norm) {
      const Vector gain = VectorOf(tower.NormGain(l, 2));
      weights = gain.asDiagonal() * weights;
      bias = bias.cwiseProduct(gain);
    }
    if (config.post_norm) {  // values read rows that no LayerNorm stands in front of
      At(read, at) = weights;
      At(biases, at) = bias;
    } else {
      At(read, at) = weights * VectorOf(tower.NormGain(l, 0)).asDiagonal();
      At(biases, at) = weights * VectorOf(tower.NormBias(l, 0)) + bias;
    }
    At(values_, at) = nn::Product(nn::Of(mlp_out).Transposed(), nn::Of(At(read, at)).Transposed());
    At(writes_, at) = WritesOf(At(against.heads, l), heads_, config.head_width(), pools_);
  });

  const Index channels = this->channels();
  const auto neurons = static_cast<double>(config.mlp_width);
  const double terms = 1.0 + 2.0 * static_cast<double>(config.layers);
  const Index a_layer = heads_ * pools_;
  const Index plain = 2 * channels + 2 * pools_ + 1;
  const bool divided = config.sub_norm || config.post_norm;
  shared_ = Matrix::Zero(plain + (divided ? 2 * later : 0), embed_width);
  Vector out_bias = VectorOf(tower.Bias(layer, Tower::Matrix::kMlpOut)) / neurons;
  if (config.post_norm) out_bias = BehindNorm(out_bias, tower.NormGain(layer, 1));
  for (Index at = 0; at < later; ++at) {
    const Index l = layer + 1 + at;
    // How many neurons' terms make up the input of layer l.
    const double share = (1.0 + 2.0 * static_cast<double>(l)) * neurons;
    const Matrix& read_here = At(read, at);
    const Vector mean = Vector::Constant(width, -1.0 / share);
    shared_.middleRows(at * a_layer, a_layer) =
        WrittenByChannel(read_here * out_bias, At(writes_, at), heads_);
    Matrix of_biases = WrittenByChannel(At(biases, at), At(writes_, at), heads_);
    if (config.post_norm) {
      // σ_a divides what stands before the LayerNorm behind the attention: b_V, b_O, and what
      // values make of the neurons' shares of the β behind the MLP.
      RowVector sum = of_biases.colwise().sum();
      for (Index h = 0; h < heads_; ++h) {
        for (Index e = 0; e < embed_width; ++e) {
          sum[e] += At(against.heads, l)(e, (h + 1) * config.output_width() - 1);
        }
      }
      const Vector added = VectorOf(tower.NormBias(layer, 1)) / neurons;
      shared_.row(plain + at) =
          sum / share +
          WrittenByChannel(read_here * added, At(writes_, at), heads_).colwise().sum();
      of_biases.setZero();
    } else {
      shared_.middleRows(channels + at * a_layer, a_layer) =
          WrittenByChannel(read_here * mean, At(writes_, at), heads_);
    }
    if (config.sub_norm) {
      // What stands before it is divided by its σ_a; what it adds is not.
      const Vector gain = VectorOf(tower.NormGain(l, 2));
      shared_.row(plain + at) = of_biases.colwise().sum() / share;
      shared_.row(plain + later + at) =
          -WrittenByChannel(gain, At(writes_, at), heads_).colwise().sum() / share;
      of_biases = WrittenByChannel(VectorOf(tower.NormBias(l, 2)), At(writes_, at), heads_);
    }
    for (Index p = 0; p < pools_; ++p) {
      RowVector sum = RowVector::Zero(embed_width);
      for (Index h = 0; h < heads_; ++h) sum += of_biases.row(h * pools_ + p);
      for (Index e = 0; e < embed_width; ++e) {
        sum[e] += At(against.out_bias, l)(e * pools_ + p);
        shared_(2 * channels + pools_ + p, e) -= against.gain(e * pools_ + p) / (share * terms);
      }
      shared_.row(2 * channels + p) += sum / share;
    }
    shared_.row(2 * channels + 2 * pools_) += against.bias.transpose() / (share * terms);
  }
}

NeuronPaths::NeuronPaths(Index layer, Index heads, std::vector<Matrix> values,
                         std::vector<Matrix> writes, Matrix shared)
    : layer_(layer),
      heads_(heads),
      pools_(writes.front().rows() / values.front().cols()),
      values_(std::move(values)),
      writes_(std::move(writes)),
      shared_(std::move(shared)) {}

NeuronPaths::Place NeuronPaths::PlaceOf(Index channel) const {
  const Index width = head_width();
  const Index head = channel / pools_;
  return {.at = head / heads_,
          .column = head % heads_ * width,
          .row = channel % (heads_ * pools_) * width};
}

std::vector<Matrix> NeuronPaths::Directions(Index first, Index count) const {
  const Index width = head_width();
  std::vector<Matrix> directions(ToSize(count), Matrix(channels(), embed_width()));
  for (Index j = 0; j < channels(); ++j) {
    const auto [at, column, row] = PlaceOf(j);
    const Matrix& value = At(values_, at);
    const Matrix& write = At(writes_, at);
    const Matrix written = nn::Product(
        nn::Operand<double>{value.row(first).data() + column, count, width, value.cols(), 1},
        nn::Operand<double>{write.row(row).data(), width, write.cols(), write.cols(), 1});
    for (Index n = 0; n < count; ++n) At(directions, n).row(j) = written.row(n);
  }
  return directions;
}

Matrix NeuronPaths::Directions(Index neuron) const {
  const Index width = head_width();
  Matrix directions(channels(), embed_width());
  for (Index j = 0; j < channels(); ++j) {
    const auto [at, column, row] = PlaceOf(j);
    directions.row(j) =
        At(values_, at).row(neuron).segment(column, width) * At(writes_, at).middleRows(row, width);
  }
  return directions;
}

Matrix NeuronPaths::DirectionsByHead(Index neuron) const {
  const Matrix each = Directions(neuron);
  Matrix sums = Matrix::Zero(heads(), embed_width());
  for (Index j = 0; j < each.rows(); ++j) sums.row(j / pools_) += each.row(j);
  return sums;
}

Matrix NeuronPaths::DirectionsOfHead(Index head) const {
  const Index width = head_width();
  Matrix sum = Matrix::Zero(neurons(), embed_width());
  for (Index j = head * pools_; j < (head + 1) * pools_; ++j) {
    const auto [at, column, row] = PlaceOf(j);
    const Matrix& value = At(values_, at);
    const Matrix& write = At(writes_, at);
    nn::AddProduct(nn::Operand<double>{value.data() + column, value.rows(), width, value.cols(), 1},
                   nn::Operand<double>{write.data() + row * write.cols(), width, write.cols(),
                                       write.cols(), 1},
                   sum);
  }
  return sum;
}

Matrix NeuronPaths::Against(const Vector& direction) const {
  const Index width = head_width();
  Matrix scores(neurons(), channels());
  for (Index at = 0; at < Index(values_.size()); ++at) {
    const Vector written = At(writes_, at) * direction;  // [H·Q·K]
    for (Index c = 0; c < heads_ * pools_; ++c) {
      scores.col(at * heads_ * pools_ + c) =
          At(values_, at).middleCols(c / pools_ * width, width) * written.segment(c * width, width);
    }
  }
  return scores;
}

ArrayView<const float, 2> NeuronPaths::NormsOf(const Captures& captures, Index at) const {
  if (!captures.mlp_norm.empty()) return captures.mlp_norm[layer_];
  return captures.norm1[layer_ + 1 + at];
}

Matrix NeuronPaths::Attention(const Captures& captures) const {
  const Index later = Index(values_.size());
  const LayerRange layers = {layer_ + 1, layer_ + 1 + later};
  const bool has_all =
      captures.pattern.layers.begin <= layers.begin && captures.pattern.layers.end == layers.end &&
      (captures.mlp_norm.layers.contains(layer_) ||
       (captures.norm1.layers.begin <= layers.begin && captures.norm1.layers.end == layers.end)) &&
      captures.hidden.layers.contains(layer_) && captures.pattern.dim(1) == heads_ * pools_ &&
      captures.hidden.dim(2) == neurons() && (!divides() || !captures.sub_norm.empty());
  if (!has_all) {
    throw Error(ErrorCode::kInvalidArgument,
                "neurons of layer {}: captures of other layers or sizes; ask the encoder for "
                "NeuronPaths::captures()",
                layer_);
  }
  const Index tokens = captures.pattern.dim(2);
  const double scale = 1.0 / (captures.scale.sigma * captures.scale.norm);
  Matrix attention(channels(), tokens);
  for (Index at = 0; at < later; ++at) {
    const auto pattern = captures.pattern[layer_ + 1 + at];
    const auto norms = NormsOf(captures, at);
    const double sigma = divides() ? double{captures.sub_norm[layer_ + 1 + at](0, 1)} : 1.0;
    for (Index c = 0; c < heads_ * pools_; ++c) {
      // The sum that it has but for rounding, and that the constants count on.
      const double whole =
          captures.scale.weight.empty() ? 1.0 : At(captures.scale.weight, c % pools_);
      double sum = 0;
      for (Index i = 0; i < tokens; ++i) sum += double{pattern(c, i)};
      for (Index i = 0; i < tokens; ++i) {
        attention(at * heads_ * pools_ + c, i) =
            whole * scale / (sum * sigma) * double{pattern(c, i)} / double{norms(i, 1)};
      }
    }
  }
  return attention;
}

RowVector NeuronPaths::SharedOf(const Captures& captures, const Matrix& attention) const {
  const Index channels = this->channels();
  RowVector shared(shared_.rows());
  for (Index j = 0; j < channels; ++j) {
    const auto norms = NormsOf(captures, PlaceOf(j).at);
    double sum = 0;
    double mean = 0;
    for (Index i = 0; i < attention.cols(); ++i) {
      sum += attention(j, i);
      mean += attention(j, i) * double{norms(i, 0)};
    }
    shared[j] = sum;
    shared[channels + j] = mean;
  }
  const ReadoutScale& scale = captures.scale;
  for (Index p = 0; p < pools_; ++p) {
    const bool pooled = !scale.weight.empty();  // by an attention pool
    const double weight = pooled ? At(scale.weight, p) : 1.0;
    const double mean = pooled ? At(scale.weighted_mean, p) : scale.mean;
    shared[2 * channels + p] = weight / (scale.sigma * scale.norm);
    shared[2 * channels + pools_ + p] = mean / (scale.sigma * scale.norm);
  }
  const Index plain = 2 * channels + 2 * pools_ + 1;
  shared[plain - 1] = 1.0 / scale.norm;
  const auto later = Index(values_.size());
  for (Index at = 0; divides() && at < later; ++at) {
    const auto moments = captures.sub_norm[layer_ + 1 + at];
    const double divided = 1.0 / (double{moments(0, 1)} * scale.sigma * scale.norm);
    shared[plain + at] = divided;
    shared[plain + later + at] = double{moments(0, 0)} * divided;
  }
  return shared;
}

NeuronCoefficients NeuronPaths::CoefficientsOf(const Captures& captures) const {
  const Matrix attention = Attention(captures);
  const ArrayView<const float, 2> hidden = captures.hidden[layer_];  // [N, F]
  return {.alpha = nn::Product(nn::Of(hidden).Transposed(), nn::Of(attention).Transposed()),
          .shared = SharedOf(captures, attention)};
}

RowVector SumOfEffects(const NeuronPaths& paths, const NeuronCoefficients& coefficients) {
  RowVector sum = static_cast<double>(paths.neurons()) * coefficients.shared * paths.shared();
  const Index a_layer = paths.channels() / Index(paths.values().size());
  for (std::size_t at = 0; at < paths.values().size(); ++at) {
    const Matrix& value = paths.values()[at];
    const Matrix& write = paths.writes()[at];
    const Index width = write.rows() / a_layer;
    for (Index c = 0; c < a_layer; ++c) {
      const RowVector through = coefficients.alpha.col(Index(at) * a_layer + c).transpose() *
                                value.middleCols(c / paths.pools() * width, width);
      sum += through * write.middleRows(c * width, width);
    }
  }
  return sum;
}

}  // namespace cliplens
