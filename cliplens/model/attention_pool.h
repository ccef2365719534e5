// A pool by attention behind the last block, as SigLIP has it (arXiv 2303.15343, section 3.1).
//
//   const AttentionPool pool(model.config(), model.tensors());
//   const AttentionPool::Pooled pooled = pool.Run(captures.last);   // rows [N, D]
//   Print(pooled.embedding.size(), pooled.mlp.size());              // E, E: before the length
//
// A learned query attends to the rows behind the final LayerNorm with Q heads, and an MLP follows:
//     e' = o + MLP(LN(o)),   o = Σ_p Σ_q a^p_q LN(x_q) W_V^p W_O^p + Σ_p b_V^p W_O^p + b_O
// Every row x_q is the sum of what the components added to it, and LN only shifts it by μ_q and
// divides it by σ_q, so o is a sum over components as well. With w^p_q = a^p_q / σ_q and γ, β of
// the LayerNorm, what adds r_q to each row adds
//     Σ_p (ρ^p ⊙ γ) W_V^p W_O^p,   ρ^p = Σ_q w^p_q r_q   [Q, D]
// to o. The MLP is no sum: it is a component of its own, POOL.MLP. The rest are constants,
// μ: −Σ_p (Σ_q w^p_q μ_q) γ W_V^p W_O^p and (β W_V + b_V) W_O + b_O, which are shared as
// readout.h says.
//
// CoCa's pool has a LayerNorm of its own behind o in place of the MLP, and P behind that one:
//     e' = P^T(γ_o ⊙ (o − μ_o)/σ_o + β_o)
// Then w^p_q = a^p_q / (σ_q σ_o), and W_O is followed by the centring of its columns, γ_o and P.
// The constants (β W_V + b_V) W_O + b_O are divided by σ_o too, and β_o P is another.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"

namespace cliplens {

// Immutable and shared by all threads. Refers to the tensors that it was made of.
class AttentionPool {
 public:
  // The pool of the image tower, and its projection if it has one.
  AttentionPool(const ModelConfig& config, const TensorMap& tensors);

  Index heads() const { return heads_; }  // Q
  bool has_mlp() const { return mlp_width_ > 0; }
  bool has_norm_behind() const { return norm_behind_; }

  struct Pooled {
    Array<float, 2> weights;                    // [Q, N] w = a / σ, / σ_o with a LayerNorm behind
    std::vector<double> weight, weighted_mean;  // [Q] Σ_q w and Σ_q w μ_q
    double scale = 1;                           // 1 / σ_o, or 1
    Vector embedding;                           // [E] e', not made unit
    Vector mlp;                                 // [E] what POOL.MLP adds to it
  };
  // Rows [N, D] behind the last block. In fp64.
  Pooled Run(ArrayView<const float, 2> rows) const;

  // The pool's own heads, as captures keep those of a block (pool_level.h). z^p = Σ_q a^p_q v^p_q
  // is what W_O is applied to, with the values v^p_q = LN(x_q) W_V^p + b_V^p.
  struct Heads {
    Matrix weights;  // [Q, N] a
    Vector z;        // [C] z^p, the heads side by side
    Vector mlp;      // [C] MLP(LN(o)), zeros without an MLP
    Vector row;      // [C] o and that: what a LayerNorm and P may follow
  };
  Heads RunHeads(ArrayView<const float, 2> rows) const;
  // v [N, C] of rows [N, D].
  Array<float, 2> Values(ArrayView<const float, 2> rows) const;

  // Σ_p (ρ^p ⊙ γ) W_V^p W_O^p for rows ρ [n·Q, D], [n, E] in fp64.
  Matrix Project(const Matrix& rows) const;
  // Directions t [M, E] pulled back: (W_V^p W_O^p t) ⊙ γ, [M·Q, D].
  Matrix PullBack(ArrayView<const float, 2> directions) const;
  // What does not depend on rows, [E]: (β W_V + b_V) W_O + b_O, whose factor is Pooled::scale, and
  // the rest.
  const Vector& scaled_constant() const { return scaled_constant_; }
  const Vector& constant() const { return constant_; }

  // What heads contribute. `z` [H, Q, K]: Σ_q w^p_q z_q of each head of a layer. Writes the sums
  // [H, E] with `bias_share` of the layer's b_O each, without the other constants and the length.
  void HeadSums(Index layer, ArrayView<const float, 3> z, const Pooled& pooled, double bias_share,
                ArrayView<float, 2> out) const;
  // The same for residual parts ρ [n, Q, D].
  void PartSums(ArrayView<const float, 3> rows, ArrayView<float, 2> out) const;
  // What μ and the constants that belong to no layer add together, [E].
  Vector Constants(const Pooled& pooled) const;

 private:
  // What HeadSums reads, made at its first use.
  struct Through {
    std::once_flag once;
    std::vector<Array<float, 2>> layers;  // [L] of [D, C]: W_O of the layer, γ and W_V
    Array<float, 2> value;                // [D, C]: γ ⊙ W_V^T
    Matrix out_bias;                      // [L, C]: of each layer's b_O
    Vector ones;                          // [C]: of a row of ones
  };
  const Through& through() const;
  // Rows behind the final LayerNorm, and what it took off and divided by.
  struct Normed {
    Matrix rows;         // [N, D]
    Vector mean, sigma;  // [N]
  };
  Normed NormedRows(ArrayView<const float, 2> rows) const;
  Heads RunHeads(const Matrix& normed) const;
  // Blocks y [C] of Q heads through W_O, the projection too; the same with a weight for each head.
  Vector Out(const Vector& y) const;
  Vector Weighted(Vector y, std::span<const double> weights) const;
  Vector Projected(const Vector& x) const;  // [C] to [E]

  Index layers_, width_, pool_width_, heads_, mlp_width_,
      embed_width_;  // D is width_, C the pool's
  bool norm_behind_;
  double epsilon_;
  Activation activation_;
  const float *gain_, *bias_;
  Matrix query_;        // [Q, D]: logits of a row behind γ and β, but for a constant
  const float* value_;  // [C, D] as PyTorch's Linear has it
  const float* value_bias_;
  const float *out_, *out_bias_;  // [C, C], [C]
  const float *ln_gain_ = nullptr, *ln_bias_ = nullptr;
  const float *mlp_in_ = nullptr, *mlp_in_bias_ = nullptr;
  const float *mlp_out_ = nullptr, *mlp_out_bias_ = nullptr;
  Matrix out_matrix_;                     // [C, E]: W_O and what is linear behind it
  Array<float, 2> out32_;                 // the same in fp32
  ArrayView<const float, 2> projection_;  // [C, E] or empty
  const float* projection_bias_ = nullptr;
  Vector scaled_constant_, constant_;
  std::vector<const float*> block_out_, block_out_bias_;
  std::shared_ptr<Through> through_;
};

}  // namespace cliplens
