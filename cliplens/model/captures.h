// What a forward pass keeps, and how it is asked for.
//
//   CaptureRequest request = FactorCaptures();   // what the decomposition needs
//   request.pattern = {6, 12};                   // and the attention pattern of layers 6 to 11
//   Captures captures;
//   encoder.EmbedImages({&pixels, 1}, embeddings, workspace, request, {&captures, 1});
//   captures.pattern[11].row(3);                 // α [N] of head L11.H3
//
// N tokens of width D; L layers of H heads of K numbers; F the MLP's width. The pooled row is that
// of the token which becomes the embedding. A request names layers; nothing that it does not name
// is computed or kept.
//
// Where the embedding is made of the rows of all tokens (ModelConfig::pool), what is said of the
// pooled row is said of their mean with the pool's weights. An attention pool has Q weights for
// each row; `pattern` has Q rows for each head then, and `z` and `parts` are what the components
// contribute to the unit embedding, E numbers each (attention_pool.h).
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// Layers [begin, end).
struct LayerRange {
  Index begin = 0;
  Index end = 0;

  bool empty() const { return begin >= end; }
  bool contains(Index layer) const { return layer >= begin && layer < end; }
  Index size() const { return std::max<Index>(end - begin, 0); }
  // The part of the range that an encoder of `layers` layers has.
  LayerRange Of(Index layers) const {
    const Index first = std::min(begin, layers);
    return {first, std::max(first, std::min(end, layers))};
  }
  friend bool operator==(const LayerRange&, const LayerRange&) = default;
};
inline constexpr LayerRange kAllLayers = {0, std::numeric_limits<Index>::max()};

struct CaptureRequest {
  // Of the pooled row:
  LayerRange z = {};        // the heads' outputs, before W_O
  LayerRange z_self = {};   // the pooled token's own share of them
  LayerRange parts = {};    // what each MLP adds to the residual, and the input to block 0
  LayerRange pattern = {};  // the attention pattern of each head
  // Mean and deviation that the LayerNorm over the heads' outputs takes, or that behind the
  // attention, in towers that have one (TowerConfig::sub_norm, post_norm).
  LayerRange sub_norm = {};
  // Of every token:
  LayerRange value = {};      // v
  LayerRange z_rows = {};     // the heads' outputs
  LayerRange query_key = {};  // queries and keys
  LayerRange part_rows = {};  // what each MLP adds, and the input to block 0
  // Mean and deviation of the inputs of the block's LayerNorm 1 and 2, where they stand in front,
  LayerRange norm1 = {};
  LayerRange norm2 = {};
  LayerRange mlp_norm = {};   // and of that behind the MLP (TowerConfig::post_norm)
  LayerRange hidden = {};     // the MLP's hidden row, after the activation
  LayerRange attention = {};  // the attention pattern of every query, averaged over the heads
  bool last = false;          // the input of the final LayerNorm

  // Whether the last block must be computed for all tokens; the pooled row is enough otherwise.
  bool NeedsAllRows(Index layers) const {
    const Index last_layer = layers - 1;
    return last || z_rows.contains(last_layer) || norm2.contains(last_layer) ||
           mlp_norm.contains(last_layer) || hidden.contains(last_layer) ||
           attention.contains(last_layer) || query_key.contains(last_layer) ||
           part_rows.contains(last_layer);
  }
  bool operator==(const CaptureRequest&) const = default;
};

// The captures that factors are made of.
inline CaptureRequest FactorCaptures() {
  return {.z = kAllLayers, .z_self = kAllLayers, .parts = kAllLayers};
}
// The same and the captures that split factors over tokens.
inline CaptureRequest TokenCaptures() {
  CaptureRequest request = FactorCaptures();
  request.pattern = request.value = kAllLayers;
  return request;
}

// Values of the layers of a range [layers.size(), ...].
template <std::size_t R>
struct PerLayer {
  LayerRange layers;
  Array<float, R> values;

  // `layer` must be in the range.
  auto operator[](Index layer) { return values.view()[layer - layers.begin]; }
  auto operator[](Index layer) const { return values.view()[layer - layers.begin]; }
  bool empty() const { return values.empty(); }
  Index dim(std::size_t axis) const { return values.dim(axis); }
  Index size() const { return values.size(); }
  const Shape<R>& shape() const { return values.shape(); }
};

// What the final LayerNorm and the projection divide by.
struct ReadoutScale {
  double mean = 0;   // μ of the final LayerNorm's input
  double sigma = 0;  // σ = sqrt(var + ε) of it
  double norm = 0;   // n: length of the embedding before it is made unit
  // Of an attention pool, whose μ is 0 and σ is 1: Σ_q w and Σ_q w μ_q of each of its Q weights.
  std::vector<double> weight = {}, weighted_mean = {};
  double pool_scale = 1;  // 1/σ of the LayerNorm behind it, if there is one
};

// The captures of one item.
struct Captures {
  // K is TowerConfig::output_width.
  PerLayer<3> z;              // [l, H, K] Σ_i α_i v_i: what W_O is applied to
  PerLayer<3> z_self;         // [l, H, K] α_p v_p of the pooled token p, or a pool's class token
  Array<float, 2> parts;      // [1 + l, D] the input to block 0; what each MLP added, with its bias
  PerLayer<3> pattern;        // [l, H, N] α, the pooled row of the attention pattern
  PerLayer<3> sub_norm;       // [l, 1, 2] μ and σ of the pooled row, or empty
  PerLayer<3> value;          // [l, N, H·K] v, the heads side by side
  PerLayer<3> z_rows;         // [l, N, H·K] the heads side by side
  PerLayer<3> query_key;      // [l, N, 2D] the heads' queries side by side, then their keys
  Array<float, 3> part_rows;  // [1 + l, N, D] the input to block 0; what each MLP added
  PerLayer<3> norm1;          // [l, N, 2] μ and σ of LayerNorm 1's input
  PerLayer<3> norm2;          // [l, N, 2] of LayerNorm 2's
  PerLayer<3> mlp_norm;       // [l, N, 2] of the LayerNorm's behind the MLP, or empty
  PerLayer<3> hidden;         // [l, N, F]
  PerLayer<3> attention;      // [l, N, N] a row for each query
  Array<float, 2> last;       // [N, D]
  ReadoutScale scale;         // set by Readout::Embed
};

// Where a pass writes its results.
struct EncodeOutput {
  ArrayView<float, 2> pooled;         // [g, D] the pooled rows, or as Readout::pooled_width says
  std::span<Captures> captures = {};  // [g] or empty
};

}  // namespace cliplens
