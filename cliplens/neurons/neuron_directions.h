// One direction for each neuron of a layer, from its effects on many pictures.
//
//   const NeuronDirections d = DirectionsOf(paths, factors, /*top=*/100, threads, progress);
//   d.top.row(2914);               // r [E], unit
//   d.top_pictures(2914, 0);       // the picture on which the neuron does most
//
// "Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341), section 3.3:
// effects less their mean over the pictures, φ̃_n(I) = φ_n(I) − mean of φ_n; the k pictures of
// largest |φ̃_n|; r_n is the first right singular vector of these k rows, which are not centred
// again. Its sign is such that more than half of the k rows point along it; where as many point
// along as against, it is the one whose largest number is negative (in the public code such a tie
// turns the sign that the decomposition happened to give). The same is computed from all pictures,
// and its sign set by the same k rows.
//
// Effects lie in few dimensions, whatever E: those of D_n and of κ. All sums are fp64 in
// orthonormal coordinates of that space; no effect [pictures, E] is formed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cliplens/base/progress.h"
#include "cliplens/neurons/neuron_paths.h"

namespace cliplens {

// The coefficients of one layer's neurons on many pictures.
struct NeuronFactors {
  Index pictures = 0;
  Array<float, 2> shared;  // [pictures, 2J+2Q+1]
  // α [count, pictures, J] of neurons [first, first + count). Called by several threads at once.
  std::function<Array<float, 3>(Index first, Index count)> alpha;
};

// How the embeddings vary, which effects are a part of.
struct EmbeddingMoments {
  std::vector<double> mean;  // [E]
  double variance = 0;       // mean of |e − mean|²
};
EmbeddingMoments MomentsOfEmbeddings(ArrayView<const float, 2> embeddings);
// The same of rows [B, E] that come in blocks.
class RunningMoments {
 public:
  explicit RunningMoments(Index width) : sum_(RowVector::Zero(width)) {}
  void Add(ArrayView<const float, 2> embeddings);
  EmbeddingMoments Finish() const;

 private:
  RowVector sum_;
  double squares_ = 0;
  Index count_ = 0;
};

// Of F neurons with J channels; k pictures of largest effect.
struct NeuronDirections {
  Array<double, 2> mean_alpha;       // [F, J]
  std::vector<double> mean_shared;   // [2J+2Q+1]
  Array<float, 2> top;               // [F, E] unit, from the k pictures; 0 for one without effect
  Array<float, 2> all;               // [F, E] the same from all pictures
  std::vector<float> top_explained;  // [F] the share of Σ|φ̃|² over the k pictures along `top`
  std::vector<float> all_explained;  // [F] over all pictures along `all`
  std::vector<float> variance;       // [F] mean of |φ̃|² over all pictures
  Array<float, 2> channel_share;  // [F, J] of that variance: mean of α̃_j D_j · φ̃ / variance
  Array<std::int64_t, 2> top_pictures;  // [F, k] by |φ̃|, largest first; ties to the lower number
  Array<float, 2> top_norm;             // [F, k] |φ̃|
  Array<float, 2> top_along;            // [F, k] ⟨φ̃, top⟩
  // |φ̃| above this is significant: the k-th largest.
  float threshold(Index neuron) const { return top_norm(neuron, top_norm.dim(1) - 1); }
};
// What the head of this place (NeuronPaths::head) carries of a neuron's variance.
double ShareOfHead(const NeuronPaths& paths, const NeuronDirections& directions, Index neuron,
                   Index head);

// k is `top`, or the number of pictures if that is less. The bytes do not depend on threads. Throws
// Error(kPrecondition) for fewer than two pictures, Error(kInvalidArgument) for a `top` below 1.
NeuronDirections DirectionsOf(const NeuronPaths& paths, const NeuronFactors& factors, Index top,
                              int threads, ProgressCount& progress);

// The same from pictures that come in blocks, twice: what is kept does not grow with their number.
// It is F · (J² + J(2J+2Q+1)) numbers of second moments, and of each neuron's k largest effects
// k(3J+3) numbers at most.
class RunningDirections {
 public:
  // `paths` must outlive this.
  RunningDirections(const NeuronPaths& paths, Index top);
  ~RunningDirections();
  RunningDirections(RunningDirections&&) noexcept;

  // The first pass: α [F, B, J] and shared [B, 2J+2Q+1] of some pictures.
  void AddMoments(const Array<float, 3>& alpha, const Array<float, 2>& shared, int threads);
  // Ends it. Throws as DirectionsOf.
  void BeginEffects(int threads);
  // The second: the same pictures, of which the block's first has this number.
  void AddEffects(const Array<float, 3>& alpha, const Array<float, 2>& shared, Index first,
                  int threads);
  NeuronDirections Finish(int threads);

 private:
  struct State;
  const NeuronPaths& paths_;
  Index top_;
  Index pictures_ = 0;
  std::unique_ptr<State> state_;
};

// Effects less their mean, in fp64, [pictures, E] of one neuron: what the directions are made of.
// `alpha` [pictures, J], `shared` [pictures, 2J+2Q+1].
Matrix CentredEffects(const NeuronPaths& paths, const NeuronDirections& directions, Index neuron,
                      ArrayView<const float, 2> alpha, ArrayView<const float, 2> shared);

}  // namespace cliplens
