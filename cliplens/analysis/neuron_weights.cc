#include "cliplens/analysis/neuron_weights.h"

#include <algorithm>
#include <cmath>

#include "cliplens/base/parallel.h"

namespace cliplens {

Matrix PairNorms(const NeuronPaths& paths, int threads) {
  Matrix norms(paths.neurons(), paths.heads());
  ParallelFor(threads, paths.heads(),
              [&](Index j, int) { norms.col(j) = paths.DirectionsOfHead(j).rowwise().norm(); });
  return norms;
}

std::vector<NeuronPair> StrongestPairs(const Matrix& norms, Index count) {
  std::vector<NeuronPair> pairs;
  pairs.reserve(ToSize(norms.size()));
  for (Index n = 0; n < norms.rows(); ++n) {
    for (Index j = 0; j < norms.cols(); ++j) pairs.push_back({n, j, norms(n, j)});
  }
  const auto kept = static_cast<std::ptrdiff_t>(std::min(pairs.size(), ToSize(count)));
  std::ranges::partial_sort(
      pairs, pairs.begin() + kept, [](const NeuronPair& a, const NeuronPair& b) {
        if (a.norm != b.norm) return a.norm > b.norm;
        return a.neuron != b.neuron ? a.neuron < b.neuron : a.channel < b.channel;
      });
  pairs.resize(ToSize(kept));
  return pairs;
}

Vector FeedOfChannels(const Matrix& norms) {
  return (norms.colwise().squaredNorm() / static_cast<double>(norms.rows())).cwiseSqrt();
}

}  // namespace cliplens
