// What lies behind the last block of a tower: pooling, the final LayerNorm, the projection, and how
// their constants are shared among the components.
//
//   const Readout& readout = model.image_readout();
//   const ReadoutScale scale = readout.Embed(pooled_row, embedding);      // [D] to a unit row [E]
//   readout.PartContributions(captures.parts, scale, contributions);      // [L+1, D] to [L+1, E]
//   const Array<float, 4> basis = readout.HeadMatrices(threads);          // the heads' part
//
// With γ, β and ε of the final LayerNorm, P the projection [D, E] and x the pooled row,
//     e = P^T(γ ⊙ (x − μ)/σ + β)/n.
// The row x is the sum of what every component added to it, so e is a sum as well
// ("Interpreting CLIP's Image Representation via Text-Based Decomposition", arXiv 2310.05916,
// section 3). The constants μ and β are shared evenly over the J = 2L+1 terms INPUT, attentions and
// MLPs; an attention's share, and its output bias b_O, evenly over its H heads and the N tokens.
//
// Behind an attention pool (attention_pool.h) the row is the embedding itself, and captures hold
// contributions: a factor has no constants. What the pool's MLP adds is the last residual part.
// At the level of such a pool (pool_level.h) the one layer is the pool's own heads, and J is 1.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/attention_pool.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"

namespace cliplens {

// The parts of u in a head's contribution u^T B.
struct FactorLayout {
  Index values = 0;     // numbers of the head's own: z [K] where a row is pooled
  Index constants = 3;  // numbers after them: 3 for 1, μ and σ; 0 where u is the contribution

  constexpr Index width() const { return values + constants; }
  // u [width()] = [z, 1, μ, σ] / (σ n); z as it is without constants.
  void Fill(std::span<const float> z, const ReadoutScale& scale, std::span<double> u) const;
};

// Directions t of the joint space [M, E], pulled back through the read-out: ⟨c, t⟩ of a
// contribution c is a product of these and what the component wrote. An attention pool of Q heads
// has Q rows for each direction, one after the other; else Q is 1.
struct ReadoutDirections {
  Matrix residual;        // [M·Q, D] (P t) ⊙ γ
  Matrix gain;            // [M·Q, 1] ⟨P^T γ, t⟩
  Matrix bias;            // [M, 1] ⟨P^T β, t⟩, with all that does not depend on the picture
  Matrix pool_bias = {};  // [M, 1] of the constants whose factor is ReadoutScale::pool_scale
  std::vector<Matrix> heads;     // [L] of [M·Q, H·K]: through W_O; empty for layers not asked for
  std::vector<Matrix> out_bias;  // [L] of [M·Q, 1]: of b_O; likewise
};

// Of a read-out at the level of an attention pool.
struct PoolTerms {
  bool mlp = false;   // there is a POOL.MLP, which has no share of the constants
  bool norm = false;  // a LayerNorm follows; otherwise μ is 0 and σ is 1
};

// Immutable and shared by all threads. Refers to the tensors that it was made of.
class Readout {
 public:
  // `prefix` is "vision" or "text"; `tokens` is N where it is the same for all items, else 0.
  // `pool`, which must outlive this, is the attention pool, if there is one. With `given_sigma`
  // pooled rows say their σ (TokenPool). With `at_pool` it is at the level of an attention pool.
  Readout(const TowerConfig& config, const TensorMap& tensors, std::string prefix,
          Index embed_width, Index tokens, const AttentionPool* pool = nullptr,
          bool given_sigma = false, std::optional<PoolTerms> at_pool = {});

  const TowerConfig& config() const { return config_; }
  Components components() const {
    if (at_pool_) return {config_.layers, config_.heads, at_pool_->mlp, Level::kPool};
    return {config_.layers, config_.heads, pool_ != nullptr && pool_->has_mlp()};
  }
  Index embed_width() const { return embed_width_; }
  Index tokens() const { return tokens_; }
  // Q: the weights that a token's row has in the pooled row.
  Index pools() const { return pool_ == nullptr ? 1 : pool_->heads(); }
  bool has_norm_behind_pool() const { return pool_ != nullptr && pool_->has_norm_behind(); }
  // The length of the row that Embed reads.
  Index pooled_width() const {
    return pool_ == nullptr ? config_.width + (given_sigma_ ? 1 : 0) : embed_width_;
  }
  FactorLayout factor() const {
    if (pool_ != nullptr) return {.values = embed_width_, .constants = 0};
    return {.values = config_.output_width(), .constants = 3};
  }

  // The pooled row [pooled_width()] to the unit embedding [E]. A number behind the D of the row is
  // the σ that it is divided by.
  ReadoutScale Embed(std::span<const float> row, std::span<float> embedding) const;
  // Any rows [n, D] to [n, E] in fp64, not made unit: as though the pool read that row alone.
  Matrix EmbedRows(ArrayView<const float, 2> rows) const;
  // P^T(γ ⊙ (r − mean of r)) of rows r [n, D], [n, E] in fp64: what a change r of the pooled row
  // changes of the embedding, but for 1/(σ n). Of an attention pool: as though its heads attended
  // alike.
  Matrix ProjectRows(const Matrix& rows) const;

  // The matrices B [L, H, K+3, E] of c = u^T B, computed in fp64 and stored as fp32:
  // B = [W_O diag(γ) P ; P^T(γ ⊙ b_O)/H ; −P^T γ/(JH) ; P^T β/(JH)].
  Array<float, 4> HeadMatrices(int threads) const;
  // Contributions [L+1, E] of INPUT and the MLPs, P^T(γ ⊙ (r − μ/J)/σ + β/J)/n of each row r.
  void PartContributions(ArrayView<const float, 2> parts, const ReadoutScale& scale,
                         ArrayView<float, 2> out) const;
  // A component's shares of μ and β and of b_O, times a weight.
  struct Share {
    double norm = 0;      // of μ and β
    double out_bias = 0;  // of the layer's b_O
  };
  Share ShareOf(const ComponentId& id, double weight) const;
  // Σ w c of several components: P^T(γ ⊙ (r − s μ)/σ + s β)/n [E], where r [D] = Σ w (what they
  // wrote and their shares of b_O) and s = Σ w (their shares of μ and β). `scratch` is working
  // memory.
  void SumContribution(std::span<const float> r, double share, const ReadoutScale& scale,
                       std::vector<float>& scratch, std::span<double> out) const;

  // directions [M, E].
  ReadoutDirections Against(ArrayView<const float, 2> directions, int threads,
                            LayerRange layers = kAllLayers) const;
  // What the constants add to ⟨c, t⟩ · σ n for direction m: of a head, and of INPUT or an MLP.
  double HeadConstant(const ReadoutDirections& directions, Index layer, Index m,
                      const ReadoutScale& scale) const;
  double PartConstant(const ReadoutDirections& directions, Index m,
                      const ReadoutScale& scale) const;

  // Contributions to the embedding [N+2, E]: of each token through all heads together, of INPUT
  // (row N) and of all MLPs (row N+1). The rows add up to the unit embedding. `captures` must have
  // pattern, value and parts of all layers.
  Array<float, 2> TokenContributions(const Captures& captures) const;

  // W_O of a layer [D, H·K] as PyTorch's Linear has it, and b_O [D]. K is
  // TowerConfig::output_width: of a LayerNorm behind the attention, W_O is behind its γ_a and its
  // centring, b_O stands in the columns of the heads' 1/σ_a, and β_a in the place of b_O.
  const float* out_weight(Index layer) const { return At(out_weight_, layer); }
  const float* out_bias(Index layer) const { return At(out_bias_, layer); }

 private:
  // diag(γ) P, P^T γ and P^T β in fp32, made at their first use.
  struct Scaled {
    std::once_flag once;
    Array<float, 2> projection;         // [D, E]
    std::vector<float> p_gain, p_bias;  // [E]
  };
  const Scaled& scaled() const;
  Array<float, 2> PooledTokenContributions(const Captures& captures) const;
  // out [n, E] = rows [n, D] · diag(γ) P.
  void ProjectScaled(ArrayView<const float, 2> rows, float* out) const;
  // residual [M, D] through a layer's W_O with the LayerNorm behind it, [M, H·K].
  Matrix AgainstBehindNorm(const Matrix& residual, Index layer) const;
  Index inner() const { return config_.heads * config_.output_width(); }  // H·K
  // Whether nothing is taken off the pooled row and it is divided by nothing.
  bool is_plain() const { return at_pool_ && !at_pool_->norm; }
  // The terms that share μ and β.
  double J() const { return at_pool_ ? 1.0 : static_cast<double>(2 * config_.layers + 1); }
  // INPUT's and an MLP's share of them.
  double PartShare() const { return at_pool_ ? 0.0 : 1.0 / J(); }
  // What μ and β add to ⟨c, t⟩ · σ n, all of it.
  double Constant(const ReadoutDirections& directions, Index m, const ReadoutScale& scale) const;
  double H() const { return static_cast<double>(config_.heads); }

  TowerConfig config_;
  Index embed_width_, tokens_;
  const AttentionPool* pool_;
  bool given_sigma_;
  std::optional<PoolTerms> at_pool_;
  const float* gain_;
  const float* bias_;
  ArrayView<const float, 2> projection_;  // [D, E]; empty with an attention pool, which has its own
  const float* projection_bias_ = nullptr;
  std::vector<const float*> out_weight_, out_bias_;
  // Of towers with a LayerNorm behind the attention: its γ_a, W_O and b_O as they were loaded, and
  // what out_weight gives.
  struct BehindNorm {
    const float *gain, *weight, *bias;
    std::vector<float> folded;
  };
  std::vector<BehindNorm> behind_norm_;  // [L] or empty
  std::shared_ptr<Scaled> scaled_;
};

}  // namespace cliplens
