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

// What each of `heads` heads writes of values x [H·K]: [H, E]. `writes` [H·K, E].
Matrix WrittenByHead(const Vector& x, const Matrix& writes, Index heads) {
  const Index width = writes.rows() / heads;
  Matrix written(heads, writes.cols());
  for (Index h = 0; h < heads; ++h) {
    written.row(h) = x.segment(h * width, width).transpose() * writes.middleRows(h * width, width);
  }
  return written;
}

void CheckLayer(Index layer, Index layers) {
  if (layer >= 0 && layer + 1 < layers) return;
  throw Error(ErrorCode::kInvalidArgument,
              "neurons of layer {}: layers 0 to {} have attention after them", layer, layers - 2);
}

}  // namespace

CaptureRequest NeuronPaths::CapturesFor(LayerRange layers) {
  const LayerRange later = {layers.begin + 1, kAllLayers.end};
  return {.pattern = later, .norm1 = later, .hidden = layers};
}

NeuronPaths::NeuronPaths(const Tower& tower, const Readout& readout, Index layer, int threads)
    : layer_(layer), heads_(tower.config().heads) {
  const TowerConfig& config = tower.config();
  CheckLayer(layer, config.layers);
  const Index later = config.layers - 1 - layer;
  const Index width = config.width;
  const Index embed_width = readout.embed_width();
  const MatrixF identity = MatrixF::Identity(embed_width, embed_width);
  const ReadoutDirections against =
      readout.Against(ArrayView<const float, 2>(identity.data(), {embed_width, embed_width}),
                      threads, {layer + 1, config.layers});
  const Array<float, 2> mlp_out = tower.Weight(layer, Tower::Matrix::kMlpOut);  // [D, F]
  values_.resize(ToSize(later));
  writes_.resize(ToSize(later));
  std::vector<Matrix> read(ToSize(later));    // W_V diag(γ_1) [H·K, D]
  std::vector<Vector> biases(ToSize(later));  // W_V β_1 + b_V [H·K]
  ParallelFor(threads, later, [&](Index at, int) {
    const Index l = layer + 1 + at;
    const Array<float, 2> value = tower.Weight(l, Tower::Matrix::kValue);
    const Matrix weights = AsEigen(value.view()).cast<double>();
    At(read, at) = weights * VectorOf(tower.NormGain(l, 0)).asDiagonal();
    At(biases, at) =
        weights * VectorOf(tower.NormBias(l, 0)) + VectorOf(tower.Bias(l, Tower::Matrix::kValue));
    At(values_, at) =
        nn::Product(nn::Of(mlp_out.view()).Transposed(), nn::Of(At(read, at)).Transposed());
    At(writes_, at) = At(against.heads, l).transpose();
  });

  const Index channels = this->channels();
  const auto neurons = static_cast<double>(config.mlp_width);
  const double terms = 1.0 + 2.0 * static_cast<double>(config.layers);
  shared_ = Matrix::Zero(2 * channels + 3, embed_width);
  const Vector out_bias = VectorOf(tower.Bias(layer, Tower::Matrix::kMlpOut)) / neurons;
  for (Index at = 0; at < later; ++at) {
    const Index l = layer + 1 + at;
    // How many neurons' terms make up the input of layer l.
    const double share = (1.0 + 2.0 * static_cast<double>(l)) * neurons;
    const Matrix& read_here = At(read, at);
    const Vector mean = Vector::Constant(width, -1.0 / share);
    shared_.middleRows(at * heads_, heads_) =
        WrittenByHead(read_here * out_bias, At(writes_, at), heads_);
    shared_.middleRows(channels + at * heads_, heads_) =
        WrittenByHead(read_here * mean, At(writes_, at), heads_);
    shared_.row(2 * channels) +=
        (WrittenByHead(At(biases, at), At(writes_, at), heads_).colwise().sum() +
         At(against.out_bias, l).transpose()) /
        share;
    shared_.row(2 * channels + 1) -= against.gain.transpose() / (share * terms);
    shared_.row(2 * channels + 2) += against.bias.transpose() / (share * terms);
  }
}

NeuronPaths::NeuronPaths(Index layer, Index heads, std::vector<Matrix> values,
                         std::vector<Matrix> writes, Matrix shared)
    : layer_(layer),
      heads_(heads),
      values_(std::move(values)),
      writes_(std::move(writes)),
      shared_(std::move(shared)) {}

std::vector<Matrix> NeuronPaths::Directions(Index first, Index count) const {
  const Index width = head_width();
  std::vector<Matrix> directions(ToSize(count), Matrix(channels(), embed_width()));
  for (Index j = 0; j < channels(); ++j) {
    const Matrix& value = At(values_, j / heads_);
    const Matrix& write = At(writes_, j / heads_);
    const Index column = j % heads_ * width;
    const Matrix written = nn::Product(
        nn::Operand<double>{value.row(first).data() + column, count, width, value.cols(), 1},
        nn::Operand<double>{write.row(column).data(), width, write.cols(), write.cols(), 1});
    for (Index n = 0; n < count; ++n) At(directions, n).row(j) = written.row(n);
  }
  return directions;
}

Matrix NeuronPaths::Directions(Index neuron) const {
  const Index width = head_width();
  Matrix directions(channels(), embed_width());
  for (Index j = 0; j < channels(); ++j) {
    const Matrix& value = At(values_, j / heads_);
    const Matrix& write = At(writes_, j / heads_);
    const Index first = j % heads_ * width;
    directions.row(j) = value.row(neuron).segment(first, width) * write.middleRows(first, width);
  }
  return directions;
}

Matrix NeuronPaths::DirectionsOfChannel(Index channel) const {
  const Index width = head_width();
  const Index first = channel % heads_ * width;
  const Matrix& value = At(values_, channel / heads_);
  const Matrix& write = At(writes_, channel / heads_);
  return nn::Product(
      nn::Operand<double>{value.data() + first, value.rows(), width, value.cols(), 1},
      nn::Operand<double>{write.data() + first * write.cols(), width, write.cols(), write.cols(),
                          1});
}

Matrix NeuronPaths::Against(const Vector& direction) const {
  const Index width = head_width();
  Matrix scores(neurons(), channels());
  for (Index at = 0; at < Index(values_.size()); ++at) {
    const Vector written = At(writes_, at) * direction;  // [H·K]
    for (Index h = 0; h < heads_; ++h) {
      scores.col(at * heads_ + h) =
          At(values_, at).middleCols(h * width, width) * written.segment(h * width, width);
    }
  }
  return scores;
}

Matrix NeuronPaths::Attention(const Captures& captures) const {
  const Index later = Index(values_.size());
  const LayerRange layers = {layer_ + 1, layer_ + 1 + later};
  const bool has_all =
      captures.pattern.layers.begin <= layers.begin && captures.pattern.layers.end == layers.end &&
      captures.norm1.layers.begin <= layers.begin && captures.norm1.layers.end == layers.end &&
      captures.hidden.layers.contains(layer_) && captures.pattern.dim(1) == heads_ &&
      captures.hidden.dim(2) == neurons();
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
    const auto norms = captures.norm1[layer_ + 1 + at];
    for (Index h = 0; h < heads_; ++h) {
      double sum = 0;  // 1 but for rounding, and the constants count on it
      for (Index i = 0; i < tokens; ++i) sum += double{pattern(h, i)};
      for (Index i = 0; i < tokens; ++i) {
        attention(at * heads_ + h, i) = scale / sum * double{pattern(h, i)} / double{norms(i, 1)};
      }
    }
  }
  return attention;
}

RowVector NeuronPaths::SharedOf(const Captures& captures, const Matrix& attention) const {
  const Index channels = this->channels();
  RowVector shared(2 * channels + 3);
  for (Index j = 0; j < channels; ++j) {
    const auto norms = captures.norm1[layer_ + 1 + j / heads_];
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
  shared[2 * channels] = 1.0 / (scale.sigma * scale.norm);
  shared[2 * channels + 1] = scale.mean / (scale.sigma * scale.norm);
  shared[2 * channels + 2] = 1.0 / scale.norm;
  return shared;
}

NeuronCoefficients NeuronPaths::CoefficientsOf(const Captures& captures) const {
  const Matrix attention = Attention(captures);
  const ArrayView<const float, 2> hidden = captures.hidden[layer_];  // [N, F]
  return {.alpha = nn::Product(nn::Of(hidden).Transposed(), nn::Of(attention).Transposed()),
          .shared = SharedOf(captures, attention)};
}

RowVector SumOfEffects(const NeuronPaths& paths, const NeuronCoefficients& coefficients) {
  const Index heads = paths.channels() / Index(paths.values().size());
  RowVector sum = static_cast<double>(paths.neurons()) * coefficients.shared * paths.shared();
  for (std::size_t at = 0; at < paths.values().size(); ++at) {
    const Matrix& value = paths.values()[at];
    const Matrix& write = paths.writes()[at];
    const Index width = write.rows() / heads;
    for (Index h = 0; h < heads; ++h) {
      const RowVector through = coefficients.alpha.col(Index(at) * heads + h).transpose() *
                                value.middleCols(h * width, width);
      sum += through * write.middleRows(h * width, width);
    }
  }
  return sum;
}

}  // namespace cliplens
