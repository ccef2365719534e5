// One transformer for both towers: pre-LN blocks, a pooled row, the final LayerNorm, a projection.
//
// The image tower pools the class token (row 0) and attends everywhere; the text tower pools the
// end-of-text token and attends to the left. One call of Run is one pass of one or several items
// whose rows stand one below the other; an item's numbers do not depend on its neighbours.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/buffer.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {

using nn::Precision;
const char* NameOf(Precision precision);  // "fp32", "bf16"
// fp32, bf16, or auto: bf16 where the processor has it. Error(kInvalidArgument) for other names.
Precision ParsePrecision(const std::string& name);

// What the decomposition needs of one forward pass (DESIGN §2.1); all of the pooled row.
struct Activations {
  Array<float, 3> z;       // [L, H, K] Σ_i α_i v_i: what W_O is applied to
  Array<float, 3> z_self;  // [L, H, K] the pooled token's own share α_p v_p
  Array<float, 2>
      mlp;           // [L+1, D] row 0: the input to block 0, row l+1: what MLP l added, with bias
  double mean = 0;   // μ of the final LayerNorm's input
  double sigma = 0;  // σ = sqrt(var + ε) of it
  double norm = 0;   // n: length of the embedding before it is made unit

  // The tokens' parts, filled when `tokens` is set before the run.
  bool tokens = false;
  Array<float, 3> pattern;  // [L, H, N] α, the pooled row of the attention pattern
  Array<float, 3> value;    // [L, N, D] v, the heads side by side

  // What methods that look at every token need, filled when `everywhere` is set before the run; the
  // last block is then computed for all tokens, which costs about a block more.
  bool everywhere = false;
  Array<float, 3> attention;  // [L, N, N] of each query, the mean over the heads
  Array<float, 2> last;       // [N, D] what goes into the final LayerNorm
};

// Memory and threads of one pass, kept between calls. Used by one pass at a time.
struct Workspace {
  explicit Workspace(int threads = 1) : team(threads) {}

  Team team;
  Buffer<float> x, normed, qkv, attended, hidden, patches, pooled, before, query, alpha;
  Buffer<nn::BFloat16> normed16, attended16, hidden16;
};

class Tower {
 public:
  // `prefix` is "vision" or "text". Takes the values of the large matrices out of `tensors` but for
  // the attention's output matrix, which the decomposition reads; with bfloat16 that one is rounded
  // as the products see it. The other tensors must outlive the tower.
  Tower(const TowerConfig& config, Activation activation, TensorMap& tensors,
        const std::string& prefix, Index embed_width, bool causal, Precision precision);

  const TowerConfig& config() const { return config_; }
  // Brings the matrices into the order of the products, which the first pass would do on its own
  // thread.
  void Pack(int threads) const;
  // Whether several items go through the products together; where not (see
  // nn::Weights::rows_are_independent), Run takes them one by one.
  bool items_share_a_pass() const;

  static constexpr Index kSpareRows = 8;

  struct ItemRows {
    Index tokens = 0;  // N
    Index pooled = 0;  // the row that becomes the embedding; none follows it in the causal tower
  };
  // `workspace.x` holds [Σ tokens, D], the input to block 0, and is overwritten. `embeddings` [g,
  // E] become unit rows. `activations` [g] or empty.
  void Run(std::span<const ItemRows> items, Workspace& workspace, ArrayView<float, 2> embeddings,
           std::span<Activations> activations) const;

 private:
  struct Plain;  // the matrices as they were loaded, until they are packed at the first pass
  struct Packed;
  struct Block {
    const float *ln1_gain, *ln1_bias, *ln2_gain, *ln2_bias;
  };

  const Packed& packed(int threads = 1) const;
  // Where an item's queries and keys (and values, `width` behind them) lie.
  struct QueryKey {
    const float* query;
    Index query_stride;
    const float* key;
    Index key_stride;
  };
  // The attention of every query, the mean over the heads, into `mean` [N, N].
  void KeepAttention(const ItemRows& item, const QueryKey& at, Team& team,
                     ArrayView<float, 2> mean) const;
  template <typename T>
  void RunAs(std::span<const ItemRows> items, float* x, Workspace& workspace,
             ArrayView<float, 2> embeddings, std::span<Activations> activations) const;
  void Finish(const float* row, std::span<float> embedding, Activations* activations) const;

  TowerConfig config_;
  Activation activation_;
  bool causal_;
  Index embed_width_;
  Precision precision_;
  std::vector<Block> blocks_;
  const float* ln_post_gain_;
  const float* ln_post_bias_;
  const float* projection_;  // [D, E]
  std::shared_ptr<Plain> plain_;
};

}  // namespace cliplens
