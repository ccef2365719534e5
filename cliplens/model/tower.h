// One transformer for both towers: pre-LN blocks, a pooled row, the final LayerNorm, a projection.
//
// The image tower pools the class token (row 0) and attends everywhere; the text tower pools the
// end-of-text token and attends to the left. One call of Run is one item on the calling thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"

namespace cliplens {

// What the decomposition needs of one forward pass (DESIGN §2.1); all of the pooled row.
struct Activations {
  Array<float, 3> z;       // [L, H, K] Σ_i α_i v_i: attention before W_O
  Array<float, 3> z_self;  // [L, H, K] the pooled token's own share α_p v_p
  Array<float, 2> mlp;  // [L+1, D] row 0: the input to block 0, row l+1: output of MLP l, with bias
  double mean = 0;      // μ of the final LayerNorm's input
  double sigma = 0;     // σ = sqrt(var + ε) of it
  double norm = 0;      // n: length of the embedding before it is made unit

  // The tokens' parts, filled when `tokens` is set before the run.
  bool tokens = false;
  Array<float, 3> pattern;  // [L, H, N] α, the pooled row of the attention pattern
  Array<float, 3> value;    // [L, N, D] v, the heads side by side
};

// Memory of one thread, kept between calls.
struct Workspace {
  std::vector<float> x, normed, qkv, scores, attended, hidden, patches;
};

class Tower {
 public:
  // `prefix` is "vision" or "text"; the tensors must outlive the tower.
  Tower(const TowerConfig& config, Activation activation, const TensorMap& tensors,
        const std::string& prefix, Index embed_width, bool causal);

  const TowerConfig& config() const { return config_; }

  // `workspace.x` holds [tokens, D], the input to block 0, and is overwritten. `pooled` is the row
  // that becomes the embedding [E], of unit length. In the causal tower tokens after `pooled` are
  // not to be given. `activations` may be null.
  void Run(Index tokens, Index pooled, Workspace& workspace, std::span<float> embedding,
           Activations* activations) const;

 private:
  struct Block {
    const float *ln1_gain, *ln1_bias, *in_weight, *in_bias, *out_weight, *out_bias;
    const float *ln2_gain, *ln2_bias, *mlp_in_weight, *mlp_in_bias, *mlp_out_weight, *mlp_out_bias;
  };

  TowerConfig config_;
  Activation activation_;
  bool causal_;
  Index embed_width_;
  std::vector<Block> blocks_;
  const float* ln_post_gain_;
  const float* ln_post_bias_;
  const float* projection_;  // [D, E]
};

}  // namespace cliplens
