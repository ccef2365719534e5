// One transformer for both towers: pre-LN blocks over the rows of one or several items.
//
// The image tower attends everywhere; a causal text tower attends to the left. Both copy out one
// row of each item, the class token or the end of the text; pools of all rows (token_pool.h) take
// what they need from the captures. One call of Run is one pass over items whose rows
// stand one below the other; an item's numbers do not depend on its neighbours. The read-out
// (readout.h) does what follows the last block.
//
//   const Tower& tower = model.image_tower();
//   Print(tower.config().layers, tower.Weight(/*layer=*/0, Tower::Matrix::kMlpIn).shape());
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/buffer.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {

using nn::Precision;
const char* NameOf(Precision precision);  // "fp32", "bf16"
// fp32, bf16, or auto: bf16 where the processor has it. Error(kInvalidArgument) for other names.
Precision ParsePrecision(const std::string& name);

// Memory and threads of one pass, kept between calls. Used by one pass at a time.
struct Workspace {
  explicit Workspace(int threads = 1) : team(threads) {}

  Team team;
  std::vector<Captures> rows_of;  // what a pool needs of all tokens
  Buffer<float> x, normed, qkv, attended, hidden, patches, pooled, pooled_rows, before, query,
      alpha, rows, plain;
  Buffer<nn::BFloat16> normed16, attended16, hidden16;
};

class Tower {
 public:
  // `prefix` is "vision" or "text"; `layout` is that of pictures, for rotary positions. Takes the
  // values of the large matrices out of `tensors`, except the attention's output matrix, which the
  // read-out needs; with bfloat16 that one is rounded as the products see it. The other tensors
  // must outlive the tower.
  Tower(const TowerConfig& config, TensorMap& tensors, const std::string& prefix, bool causal,
        Precision precision, const TokenLayout& layout = {});

  const TowerConfig& config() const { return config_; }
  // Packs the matrices in the order in which products read them. Otherwise the first pass does it
  // on its own thread.
  void Pack(int threads) const;
  // Whether a product may hold the rows of several items (nn::Weights::rows_are_independent). If
  // not, Run takes the items one by one.
  bool items_share_a_pass() const;

  // A layer's matrices as the products read them (rounded with bfloat16), out of their packed
  // order: for analyses that need them. Each call makes a copy.
  // Of a gated MLP kMlpIn is G and W one below the other.
  enum class Matrix { kValue, kMlpIn, kMlpOut };
  Array<float, 2> Weight(Index layer, Matrix matrix) const;       // [out, in] as PyTorch's Linear
  std::span<const float> Bias(Index layer, Matrix matrix) const;  // [out]
  // γ and β [D] of the block's two LayerNorms (0 and 1), in front of attention and MLP or behind
  // them (TowerConfig::post_norm), and of the one over the heads' outputs (2), empty in towers
  // without it.
  std::span<const float> NormGain(Index layer, int norm) const;
  std::span<const float> NormBias(Index layer, int norm) const;

  static constexpr Index kSpareRows = 8;

  struct ItemRows {
    Index tokens = 0;  // N
    Index pooled = 0;  // the row that becomes the embedding; none follows it in the causal tower
    std::span<const Index> hidden = {};  // rows whose keys no query sees
  };
  // `workspace.x` holds [Σ tokens, D], the input to block 0, and is overwritten.
  void Run(std::span<const ItemRows> items, const CaptureRequest& request,
           const EncodeOutput& output, Workspace& workspace) const;

 private:
  struct Plain;  // the matrices as they were loaded, until they are packed at the first pass
  // The matrices in the order that products read.
  struct Packed {
    struct Layer {
      nn::Weights qkv;        // all but the last layer
      nn::Weights query;      // the last layer: the pooled row's queries,
      nn::Weights key_value;  // all rows' keys and values
      nn::Weights out, mlp_in, mlp_out;
    };
    std::vector<Layer> layers;
    bool independent = true;
  };
  struct Block {
    const float *ln1_gain, *ln1_bias, *ln2_gain, *ln2_bias;
    const float *in_bias, *mlp_in_bias, *mlp_out_bias;
    const float *sub_gain, *sub_bias;  // of the LayerNorm over the heads' outputs, or null
    const float *mlp_gain, *mlp_bias;  // of that within or in front of a gated MLP, or null
  };
  template <typename T>
  class Pass;

  const Packed& packed(int threads = 1) const;

  TowerConfig config_;
  bool causal_;
  Precision precision_;
  Index in_front_;          // tokens that rotary positions leave as they are
  Array<float, 2> rotary_;  // RotaryTable, or empty
  std::vector<Block> blocks_;
  std::shared_ptr<Plain> plain_;
};

}  // namespace cliplens
