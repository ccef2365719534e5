// One picture's score of a direction, split over the neurons of a layer and the later heads that
// carry what they write.
//
//   const NeuronPaths paths(model.image_tower(), model.image_readout(), /*layer=*/9, threads);
//   const TokenPass pass =
//       PassOf(model, picture, threads, "cat.png", CapturesThrough(paths.layer()));
//   const NeuronScores s = ScoreNeurons(paths, pass.captures, direction);
//   s.pairs(2914, 3);                   // neuron 2914 through head paths.head(3)
//   s.of_neuron(2914);                  // through all later heads
//   TokensOfNeuron(paths, pass.captures, 2914, direction)[5];    // of which token 5
//
// "Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341), section 3: with φ
// of neuron_paths.h, ⟨φ_n, t⟩ = Σ_j α_{n,j} ⟨D_{n,j}, t⟩ + ⟨κ, t⟩. The paper merges the heads; here
// they are kept apart. All in fp64.
#pragma once

#include <vector>

#include "cliplens/model/captures.h"
#include "cliplens/neurons/neuron_paths.h"

namespace cliplens {

// TokenCaptures and what NeuronPaths reads.
CaptureRequest CapturesThrough(LayerRange layers);
inline CaptureRequest CapturesThrough(Index layer) {
  return CapturesThrough(LayerRange{layer, layer + 1});
}

struct NeuronScores {
  Matrix pairs;          // [F, J] α_{n,j} ⟨D_{n,j}, t⟩
  double constants = 0;  // F ⟨κ, t⟩, of all neurons together

  double of_neuron(Index neuron) const { return pairs.row(neuron).sum(); }
  double of_channel(Index channel) const { return pairs.col(channel).sum(); }
  double sum() const { return pairs.sum() + constants; }  // Σ_n ⟨φ_n, t⟩
};
// `direction` [E]. Throws Error(kInvalidArgument) for another width, and as
// NeuronPaths::CoefficientsOf.
NeuronScores ScoreNeurons(const NeuronPaths& paths, const Captures& captures,
                          const Vector& direction);

// What each token [N] adds to of_neuron(), and to the sum of of_neuron() over all neurons. Of
// an image they stand as TokenLayout says.
Vector TokensOfNeuron(const NeuronPaths& paths, const Captures& captures, Index neuron,
                      const Vector& direction);
Vector TokensOfAllNeurons(const NeuronPaths& paths, const Captures& captures,
                          const Vector& direction);

// Numbers of neurons by |of_neuron|, largest first, `count` at most; ties go to the lower.
std::vector<Index> StrongestNeurons(const NeuronScores& scores, Index count);

}  // namespace cliplens
