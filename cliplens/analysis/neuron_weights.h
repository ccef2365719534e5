// What neurons of a layer write through later heads, from weights alone: no pictures.
//
//   const NeuronPaths paths(model.image_tower(), model.image_readout(), /*layer=*/9, threads);
//   const Matrix norms = PairNorms(paths, threads);                     // [F, J]
//   const std::vector<NeuronPair> pairs = StrongestPairs(norms, /*count=*/20);
//   const RowVector direction = paths.Directions(pairs[0].neuron).row(pairs[0].channel);
//
// The effect of a neuron through one head is α D (neuron_paths.h): its direction D is fixed by the
// weights, pictures only say how strongly and how often. |D| is the effect of one unit of α.
#pragma once

#include <vector>

#include "cliplens/neurons/neuron_paths.h"

namespace cliplens {

// |D_{n,j}| of all neurons and channels [F, J], fp64.
Matrix PairNorms(const NeuronPaths& paths, int threads);

struct NeuronPair {
  Index neuron = 0;
  Index channel = 0;
  double norm = 0;
};
// The `count` pairs of largest norm, largest first; ties go to the lower neuron, then channel.
std::vector<NeuronPair> StrongestPairs(const Matrix& norms, Index count);

// How strongly the layer feeds each later head: the root of the mean of |D_{n,j}|² over the
// neurons, [J].
Vector FeedOfChannels(const Matrix& norms);

}  // namespace cliplens
