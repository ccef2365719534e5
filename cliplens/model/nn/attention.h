// Softmax attention of one head without the [N, N] matrix: a few queries at a time.
#pragma once

#include <span>

#include "cliplens/base/array.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens::nn {

// out [rows, K] = softmax(scale · q k^T) v of one head, for the queries `first` … `first` + rows −
// 1 of the item's `tokens`. Strides are distances between rows. With `causal` a query sees the keys
// up to its own place, and nobody sees the `hidden` ones; each query must see one. If `alpha`
// [tokens] is not null, it receives the attention of query `alpha_query`. A query's result does not
// depend on the other queries.
//
// Everything is fp32. Let S be the largest scale · Σ |q k| of a score. The relative error of an
// attention weight above 1e-30 is at most 2e-7 · (1 + S), and the error of `out` at most
// 1e-7 · (1 + S) of the largest |v| (measured: 1.6e-7 and 4.4e-8, for S from 2 to 40,000 and up to
// 257 tokens).
template <typename Out>
struct AttentionArgs {
  Index first = 0;
  Index rows = 0;
  Index tokens = 0;
  Index head_width = 0;
  const float* q = nullptr;  // of query `first`
  const float* k = nullptr;
  const float* v = nullptr;
  Index q_stride = 0;
  Index kv_stride = 0;
  float scale = 1;
  bool causal = false;
  std::span<const Index> hidden = {};
  Out* out = nullptr;
  Index out_stride = 0;
  float* alpha = nullptr;
  Index alpha_query = 0;
};
void Attention(const AttentionArgs<float>& args);
void Attention(const AttentionArgs<BFloat16>& args);

// out [pools, tokens] = weights [pools, tokens] · softmax(scale · q k^T): the attention of all
// queries of one head, summed with a weight for each query. The error of `out` is that of an
// attention weight above, times the sum of |weights|.
struct PoolAttentionArgs {
  Index tokens = 0;
  Index head_width = 0;
  const float* q = nullptr;
  const float* k = nullptr;
  Index stride = 0;  // of both
  float scale = 1;
  Index pools = 0;
  const float* weights = nullptr;
  float* out = nullptr;
};
void PoolAttention(const PoolAttentionArgs& args);

// Plain loops in fp64, for tests.
void RefAttention(const AttentionArgs<float>& args);

}  // namespace cliplens::nn
