#include "cliplens/analysis/head_directions.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"

namespace cliplens {
namespace {

// Weights are fp32, so singular values below this share of the first are rounding.
constexpr double kRounding = 1e-6;

// The two factors of the path of all heads of a layer.
struct LayerPath {
  Matrix reads;   // [H·K, D] rows of W_V diag(γ_1) C, times γ_a where heads' outputs are normed
  Matrix writes;  // [H·K', E] rows of W_O C diag(γ) P, K' = TowerConfig::output_width
};

LayerPath PathOf(const Tower& tower, const Readout& readout, Index layer) {
  const TowerConfig& config = tower.config();
  const Index width = config.width;
  const Index inner = config.heads * config.output_width();
  const Array<float, 2> value = tower.Weight(layer, Tower::Matrix::kValue);
  LayerPath path;
  path.reads = AsEigen(value.view()).cast<double>();
  if (!config.post_norm) {  // else no LayerNorm stands in front
    const auto gain = Eigen::Map<const Eigen::VectorXf>(tower.NormGain(layer, 0).data(), width);
    path.reads = path.reads * gain.cast<double>().asDiagonal();
    path.reads = path.reads.colwise() - path.reads.rowwise().mean().eval();
  }
  if (config.sub_norm) {
    const auto of_heads = Eigen::Map<const Eigen::VectorXf>(tower.NormGain(layer, 2).data(), width);
    path.reads = of_heads.cast<double>().asDiagonal() * path.reads;
  }
  const ArrayView<const float, 2> out(readout.out_weight(layer), {width, inner});
  path.writes = readout.ProjectRows(AsEigen(out).cast<double>().transpose());
  return path;
}

HeadDirections DirectionsOf(const LayerPath& path, HeadId id, const TowerConfig& config,
                            Index count) {
  const Index head_width = config.head_width();
  const Matrix reads = path.reads.middleRows(id.head * head_width, head_width).transpose();
  const SingularDirections svd = SingularDirectionsOf(
      reads, path.writes.middleRows(id.head * config.output_width(), head_width));
  Index n = 0;
  while (n < std::min(count, svd.values.size()) && svd.values[n] > kRounding * svd.values[0]) ++n;
  HeadDirections found{.id = id,
                       .values = svd.values,
                       .writes = svd.right.leftCols(n).transpose(),
                       .reads = svd.left.leftCols(n).transpose()};
  for (Index k = 0; k < n; ++k) {
    Index largest = 0;
    found.writes.row(k).cwiseAbs().maxCoeff(&largest);
    if (found.writes(k, largest) > 0) continue;
    found.writes.row(k) *= -1;
    found.reads.row(k) *= -1;
  }
  return found;
}

}  // namespace

std::vector<HeadDirections> DirectionsOfHeads(const Tower& tower, const Readout& readout,
                                              const std::vector<HeadId>& heads, Index count,
                                              int threads) {
  const TowerConfig& config = tower.config();
  std::map<int, std::vector<std::size_t>> places;  // in `heads`, by layer
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const HeadId id = heads[i];
    if (id.layer < 0 || id.layer >= config.layers || id.head < 0 || id.head >= config.heads) {
      throw Error(ErrorCode::kInvalidArgument, "the model has {} layers of {} heads, but no {}",
                  config.layers, config.heads, HeadName(id));
    }
    places[id.layer].push_back(i);
  }
  const std::vector<std::pair<int, std::vector<std::size_t>>> layers(places.begin(), places.end());
  std::vector<HeadDirections> found(heads.size());
  ParallelFor(threads, std::ssize(layers), [&](Index task, int) {
    const auto& [layer, wanted] = At(layers, task);
    const LayerPath path = PathOf(tower, readout, layer);
    for (const std::size_t i : wanted) {
      found[i] = DirectionsOf(path, heads[i], config, count);
    }
  });
  return found;
}

Vector SharesOf(const Vector& values) {
  const double sum = values.squaredNorm();
  if (sum == 0) return Vector::Zero(values.size());
  return values.cwiseAbs2() / sum;
}

double EffectiveRank(const Vector& shares) {
  if (shares.sum() == 0) return 0;
  double entropy = 0;
  for (const double p : shares) entropy -= p > 0 ? p * std::log(p) : 0;
  return std::exp(entropy);
}

}  // namespace cliplens
