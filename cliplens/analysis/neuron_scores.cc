#include "cliplens/analysis/neuron_scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cliplens/base/error.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

void CheckDirection(const NeuronPaths& paths, const Vector& direction) {
  if (direction.size() == paths.embed_width()) return;
  throw Error(ErrorCode::kInvalidArgument,
              "neurons: a direction of width {}, the joint space has {}", direction.size(),
              paths.embed_width());
}

}  // namespace

CaptureRequest CapturesThrough(LayerRange layers) {
  CaptureRequest request = TokenCaptures();
  const CaptureRequest neurons = NeuronPaths::CapturesFor(layers);
  request.norm1 = neurons.norm1;
  request.sub_norm = neurons.sub_norm;
  request.mlp_norm = neurons.mlp_norm;
  request.hidden = neurons.hidden;
  return request;
}

NeuronScores ScoreNeurons(const NeuronPaths& paths, const Captures& captures,
                          const Vector& direction) {
  CheckDirection(paths, direction);
  const NeuronCoefficients c = paths.CoefficientsOf(captures);
  const double kappa = c.shared * (paths.shared() * direction);
  const Matrix by_channel = c.alpha.cwiseProduct(paths.Against(direction));
  NeuronScores scores{.pairs = Matrix::Zero(paths.neurons(), paths.heads()),
                      .constants = static_cast<double>(paths.neurons()) * kappa};
  for (Index j = 0; j < by_channel.cols(); ++j) {
    scores.pairs.col(j / paths.pools()) += by_channel.col(j);
  }
  return scores;
}

Vector TokensOfNeuron(const NeuronPaths& paths, const Captures& captures, Index neuron,
                      const Vector& direction) {
  CheckDirection(paths, direction);
  const Vector through = paths.Directions(neuron) * direction;  // [J]
  Vector tokens = paths.Attention(captures).transpose() * through;
  const auto hidden = captures.hidden[paths.layer()];
  for (Index i = 0; i < tokens.size(); ++i) tokens[i] *= double{hidden(i, neuron)};
  return tokens;
}

Vector TokensOfAllNeurons(const NeuronPaths& paths, const Captures& captures,
                          const Vector& direction) {
  CheckDirection(paths, direction);
  // What each token's neurons write for each head to bring along: [N, J].
  const ArrayView<const float, 2> hidden = captures.hidden[paths.layer()];
  const Matrix written = nn::Product(nn::Of(hidden), nn::Of(paths.Against(direction)));
  return written.cwiseProduct(paths.Attention(captures).transpose()).rowwise().sum();
}

std::vector<Index> StrongestNeurons(const NeuronScores& scores, Index count) {
  std::vector<Index> order(ToSize(scores.pairs.rows()));
  std::iota(order.begin(), order.end(), Index{0});
  const Vector strength = scores.pairs.rowwise().sum().cwiseAbs();
  std::ranges::stable_sort(order, [&](Index a, Index b) { return strength[a] > strength[b]; });
  order.resize(std::min(order.size(), ToSize(count)));
  return order;
}

}  // namespace cliplens
