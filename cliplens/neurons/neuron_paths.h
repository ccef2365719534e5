// What an MLP's neurons do to the embedding through the attention of later layers: their
// second-order effects.
//
//   const NeuronPaths paths(model.image_tower(), model.image_readout(), /*layer=*/9, threads);
//   Captures captures;
//   model.EmbedImages({&pixels, 1}, rows, workspace, paths.captures(), {&captures, 1});
//   const NeuronCoefficients c = paths.CoefficientsOf(captures);
//   RowVector effect = c.alpha.row(2914) * paths.Directions(2914);
//   effect += c.shared * paths.shared();
//
// "Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341), section 3, with
// the constants as its code has them. A neuron n of layer l adds c_i w_n to token i. The values of
// every head j = (l', h) of a later layer l' read that, its attention brings it to the pooled
// token, and the read-out to the embedding. Attention and the LayerNorms' μ and σ are those of the
// pass; A_j sums to 1. With a_{j,i} = A_{j,i}/σ_i of LayerNorm 1 of l', and σ_p, n of the read-out
// (ReadoutScale),
//     φ_n = Σ_j α_{n,j} D_{n,j} + κ,  α_{n,j} = Σ_i c_{i,n} a_{j,i} / (σ_p n),
//     D_{n,j} = P^T diag(γ_p) W_O^j W_V^j diag(γ_1) w_n,
// where D depends on weights alone. κ is the share of biases, μ and β: every constant is split
// evenly over the (1 + 2l')F terms that make up the input of l' (F neurons to a term), then over
// the terms of the final sum and their heads. κ is the same for all neurons of the layer; it is a
// sum of 2J+2Q+1 fixed directions with coefficients of the pass.
//
// A LayerNorm over the heads' outputs (TowerConfig::sub_norm, EVA-02) stands between W_V and W_O:
// its μ_a and σ_a are those of the pass too, so α is divided by the σ_a of its layer, D has its γ_a
// in front of W_O, and μ_a and β_a are split as all constants are. κ has two directions more for
// each later layer. A neuron of a gated MLP writes its channel of what W_out is applied to, behind
// the MLP's own LayerNorm.
//
// LayerNorms behind attention and MLP (TowerConfig::post_norm, EVA02-E) divide by the σ_m of the
// MLP at each token and by the σ_a of each later attention: a_{j,i} = A_{j,i}/(σ_m,i σ_a), w_n and
// W_O stand behind γ and the centring of theirs, and γ_1, μ_i and σ_i of LayerNorm 1 fall away.
//
// Behind an attention pool of Q heads (attention_pool.h) a head has Q channels, one for each way in
// which its rows are weighed: A_j is then Σ_q w^p_q A_q, which sums to Σ_q w^p_q, and n alone
// divides.
//
// Not part of φ: what the neuron adds to the pooled token directly, what later MLPs make of it, and
// paths through two later layers.
#pragma once

#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/readout.h"
#include "cliplens/model/tower.h"

namespace cliplens {

// The numbers that one pass gives.
struct NeuronCoefficients {
  Matrix alpha;      // [F, J]
  RowVector shared;  // of κ, as many as NeuronPaths::shared() has rows
};

// The weights' part. Channels are the heads of the layers after `layer`, layer by layer, each Q
// times: J in all.
// Immutable; all of it fp64.
class NeuronPaths {
 public:
  // What a pass must capture for the neurons of `layers` of a tower.
  static CaptureRequest CapturesFor(LayerRange layers);

  // Of either tower. Throws Error(kInvalidArgument) for a layer that is not there or has no
  // attention after it.
  NeuronPaths(const Tower& tower, const Readout& readout, Index layer, int threads);
  // Of stored parts; see values(), writes(), shared().
  NeuronPaths(Index layer, Index heads, std::vector<Matrix> values, std::vector<Matrix> writes,
              Matrix shared);

  CaptureRequest captures() const { return CapturesFor({layer_, layer_ + 1}); }
  Index layer() const { return layer_; }
  Index neurons() const { return values_.front().rows(); }
  Index embed_width() const { return shared_.cols(); }
  Index channels() const { return Index(values_.size()) * heads_ * pools_; }
  Index pools() const { return pools_; }  // Q
  // The heads of the later layers: each is Q channels, from channel Q·i on.
  Index heads() const { return channels() / pools_; }
  HeadId head(Index i) const {
    return {static_cast<int>(layer_ + 1 + i / heads_), static_cast<int>(i % heads_)};
  }

  // D [J, E] of one neuron, and of neurons [first, first + count), which is faster than one by one.
  Matrix Directions(Index neuron) const;
  std::vector<Matrix> Directions(Index first, Index count) const;
  // D of one neuron [heads(), E] through each head, and of all neurons through one [F, E]: the sum
  // over its channels, as though the pool's heads attended alike.
  Matrix DirectionsByHead(Index neuron) const;
  Matrix DirectionsOfHead(Index head) const;
  // ⟨D_{n,j}, t⟩ [F, J] of a direction t [E].
  Matrix Against(const Vector& direction) const;

  // The numbers of a pass with captures(). Throws Error(kInvalidArgument) for other captures.
  NeuronCoefficients CoefficientsOf(const Captures& captures) const;
  // a_{j,i}/(σ_p n) [J, N]: α_{n,j} = Σ_i c_{i,n} a_{j,i}.
  Matrix Attention(const Captures& captures) const;
  // `attention` is Attention(captures).
  RowVector SharedOf(const Captures& captures, const Matrix& attention) const;

  // W_V diag(γ_1) w_n of each later layer [F, H·K].
  const std::vector<Matrix>& values() const { return values_; }
  // W_O^T diag(γ_p) P of each later layer [H·Q·K, E], a block of K rows for each channel.
  const std::vector<Matrix>& writes() const { return writes_; }
  // The directions of κ [2J+2Q+1, E]; with a LayerNorm over or behind the heads' outputs two more
  // for each later layer.
  const Matrix& shared() const { return shared_; }

 private:
  Index head_width() const { return values_.front().cols() / heads_; }
  // A channel's layer among the later ones, and its columns of values() and rows of writes().
  struct Place {
    Index at, column, row;
  };
  Place PlaceOf(Index channel) const;

  // Whether a LayerNorm over or behind the heads' outputs divides them.
  bool divides() const { return shared_.rows() > 2 * channels() + 2 * pools_ + 1; }
  // Of the LayerNorm in front of a later layer's values, or behind the MLP.
  ArrayView<const float, 2> NormsOf(const Captures& captures, Index at) const;

  Index layer_, heads_, pools_;
  std::vector<Matrix> values_, writes_;
  Matrix shared_;
};

// Σ_n φ_n [E] over all neurons of the layer.
RowVector SumOfEffects(const NeuronPaths& paths, const NeuronCoefficients& coefficients);

}  // namespace cliplens
