#include "cliplens/model/nn/attention.h"

#include <algorithm>

#include "cliplens/base/buffer.h"

// Arrays of vectors need vectors of a fixed size.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cliplens/model/nn/attention.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// The target-specific code below is compiled once for each instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "cliplens/model/nn/bfloat16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cliplens::nn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;

// The accumulators of a block are kMaxRows x kMaxVectors registers.
constexpr int kMaxRows = 6;
constexpr int kMaxVectors = hn::MaxLanes(D()) >= 16 ? 4 : 2;

// Of a product c [rows, columns] = a [rows, depth] · b [depth, columns].
struct ProductArgs {
  const float* a = nullptr;
  Index a_stride = 0;
  const float* b = nullptr;
  Index b_stride = 0;
  Index depth = 0;
  float* c = nullptr;
  Index c_stride = 0;
};

// The product of kRows rows and kVectors · lanes columns.
template <int kRows, int kVectors>
HWY_INLINE void Block(const ProductArgs& args) {
  const float* HWY_RESTRICT a = args.a;
  const float* HWY_RESTRICT b = args.b;
  float* HWY_RESTRICT c = args.c;
  const D d;
  constexpr Index kLanes = hn::MaxLanes(D());
  // The accumulators stay in registers only where every loop over them is written out.
  hn::Vec<D> sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) sum[r][j] = hn::Zero(d);
  }
  for (Index k = 0; k < args.depth; ++k, b += args.b_stride) {
    hn::Vec<D> column[kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) column[j] = hn::Load(d, b + j * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, a[r * args.a_stride + k]);
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) sum[r][j] = hn::MulAdd(x, column[j], sum[r][j]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) hn::Store(sum[r][j], d, c + r * args.c_stride + j * kLanes);
  }
}

// The same for any number of vectors, in parts of about equal width.
template <int kRows>
void Product(ProductArgs args, Index vectors) {
  constexpr Index kLanes = hn::MaxLanes(D());
  for (Index parts = (vectors + kMaxVectors - 1) / kMaxVectors; parts > 0; --parts) {
    const Index n = (vectors + parts - 1) / parts;
    if (n == 1) Block<kRows, 1>(args);
    if (n == 2) Block<kRows, 2>(args);
    if constexpr (kMaxVectors > 2) {
      if (n == 3) Block<kRows, 3>(args);
      if (n == 4) Block<kRows, 4>(args);
    }
    vectors -= n;
    args.b += n * kLanes;
    args.c += n * kLanes;
  }
}

using ProductFunction = void (*)(ProductArgs, Index vectors);
constexpr ProductFunction kProducts[kMaxRows] = {Product<1>, Product<2>, Product<3>,
                                                 Product<4>, Product<5>, Product<6>};

// Of scores that do not count.
constexpr float kLowest = -1e30f;

// exp(scale · x − max) over the first n of `padded` numbers, zeros behind them; returns the sum.
HWY_INLINE float Exponentials(float* x, Index n, Index padded, float scale) {
  const D d;
  constexpr Index kLanes = hn::MaxLanes(D());
  std::fill(x + n, x + padded, kLowest);
  const Index used = (n + kLanes - 1) / kLanes * kLanes;
  const auto factor = hn::Set(d, scale);
  auto maximum = hn::Set(d, kLowest);
  for (Index i = 0; i < used; i += kLanes) {
    maximum = hn::Max(maximum, hn::Mul(hn::Load(d, x + i), factor));
  }
  maximum = hn::MaxOfLanes(d, maximum);
  auto sum = hn::Zero(d);
  for (Index i = 0; i < used; i += kLanes) {
    const auto e = hn::Exp(d, hn::Sub(hn::Mul(hn::Load(d, x + i), factor), maximum));
    hn::Store(e, d, x + i);
    sum = hn::Add(sum, e);
  }
  std::fill(x + n, x + padded, 0.0f);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// out [n] = x [n] · factor, rounded to the type of `out`.
HWY_INLINE void Scale(const float* x, Index n, float factor, float* out) {
  const D d;
  constexpr Index kLanes = hn::MaxLanes(D());
  const auto f = hn::Set(d, factor);
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::Mul(hn::Load(d, x + i), f), d, out + i);
  for (; i < n; ++i) out[i] = x[i] * factor;
}

HWY_INLINE void Scale(const float* x, Index n, float factor, BFloat16* out) {
  const D d;
  constexpr Index kLanes = hn::MaxLanes(D());
  const auto f = hn::Set(d, factor);
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    StoreBFloat16(hn::Mul(hn::Load(d, x + i), f), out + i);
  }
  for (; i < n; ++i) out[i] = ToBFloat16(x[i] * factor);
}

// k^T [K, padded], zeros behind the tokens.
void Transpose(const float* k, Index stride, Index tokens, Index width, Index padded, float* out) {
  constexpr Index kLanes = hn::MaxLanes(D());
  for (Index begin = 0; begin < padded; begin += kLanes) {
    const Index count = std::min(kLanes, tokens - begin);
    for (Index i = 0; i < width; ++i) {
      float* to = out + i * padded + begin;
      for (Index t = 0; t < count; ++t) to[t] = k[(begin + t) * stride + i];
      std::fill(to + count, to + kLanes, 0.0f);
    }
  }
}

template <typename Out>
void AttentionRows(const AttentionArgs<Out>& a) {
  constexpr Index kLanes = hn::MaxLanes(D());
  const Index n = a.tokens;
  const Index width = a.head_width;
  const Index padded_n = (n + kLanes - 1) / kLanes * kLanes;
  const Index padded_width = (width + kLanes - 1) / kLanes * kLanes;
  thread_local Buffer<float> keys_buffer;    // [K, n]: k^T
  thread_local Buffer<float> values_buffer;  // [n, K]
  thread_local Buffer<float> scores_buffer;  // [kMaxRows, n]
  thread_local Buffer<float> result_buffer;  // [kMaxRows, K]
  float* keys = keys_buffer.Grow(width * padded_n);
  float* values = values_buffer.Grow(n * padded_width);
  float* scores = scores_buffer.Grow(kMaxRows * padded_n);
  float* result = result_buffer.Grow(kMaxRows * padded_width);
  Transpose(a.k, a.kv_stride, n, width, padded_n, keys);
  for (Index i = 0; i < n; ++i) {
    std::copy_n(a.v + i * a.kv_stride, width, values + i * padded_width);
    std::fill(values + i * padded_width + width, values + (i + 1) * padded_width, 0.0f);
  }
  for (Index row = 0; row < a.rows; row += kMaxRows) {
    const Index count = std::min<Index>(kMaxRows, a.rows - row);
    const ProductFunction product = kProducts[count - 1];
    const Index seen = a.causal ? a.first + row + count : n;  // keys of the block's last query
    const Index seen_vectors = (seen + kLanes - 1) / kLanes;
    product({.a = a.q + row * a.q_stride,
             .a_stride = a.q_stride,
             .b = keys,
             .b_stride = padded_n,
             .depth = width,
             .c = scores,
             .c_stride = padded_n},
            seen_vectors);
    float inverse[kMaxRows];
    for (Index r = 0; r < count; ++r) {
      float* x = scores + r * padded_n;
      const Index own = a.causal ? a.first + row + r + 1 : n;
      for (const Index key : a.hidden) {
        if (key < own) x[key] = kLowest;
      }
      inverse[r] = 1.0f / Exponentials(x, own, seen_vectors * kLanes, a.scale);
      if (a.alpha != nullptr && a.first + row + r == a.alpha_query) {
        for (Index i = 0; i < seen; ++i) a.alpha[i] = x[i] * inverse[r];
        std::fill(a.alpha + seen, a.alpha + n, 0.0f);
      }
    }
    product({.a = scores,
             .a_stride = padded_n,
             .b = values,
             .b_stride = padded_width,
             .depth = seen,
             .c = result,
             .c_stride = padded_width},
            padded_width / kLanes);
    for (Index r = 0; r < count; ++r) {
      Scale(result + r * padded_width, width, inverse[r], a.out + (row + r) * a.out_stride);
    }
  }
}

void PoolAttentionF32(const PoolAttentionArgs& a) {
  constexpr Index kLanes = hn::MaxLanes(D());
  constexpr Index kQueries = 8 * kMaxRows;  // whose scores are held at a time
  const Index n = a.tokens;
  const Index width = a.head_width;
  const Index padded_n = (n + kLanes - 1) / kLanes * kLanes;
  const Index vectors = padded_n / kLanes;
  thread_local Buffer<float> keys_buffer;     // [K, n]
  thread_local Buffer<float> scores_buffer;   // [kQueries, n]
  thread_local Buffer<float> weights_buffer;  // [kMaxRows, kQueries]
  thread_local Buffer<float> result_buffer;   // [kMaxRows, n]
  float* keys = keys_buffer.Grow(width * padded_n);
  float* scores = scores_buffer.Grow(kQueries * padded_n);
  float* weights = weights_buffer.Grow(kMaxRows * kQueries);
  float* result = result_buffer.Grow(kMaxRows * padded_n);
  Transpose(a.k, a.stride, n, width, padded_n, keys);
  std::fill(a.out, a.out + a.pools * n, 0.0f);
  for (Index first = 0; first < n; first += kQueries) {
    const Index queries = std::min(kQueries, n - first);
    float inverse[kQueries];
    for (Index row = 0; row < queries; row += kMaxRows) {
      const Index count = std::min<Index>(kMaxRows, queries - row);
      kProducts[count - 1]({.a = a.q + (first + row) * a.stride,
                            .a_stride = a.stride,
                            .b = keys,
                            .b_stride = padded_n,
                            .depth = width,
                            .c = scores + row * padded_n,
                            .c_stride = padded_n},
                           vectors);
      for (Index r = row; r < row + count; ++r) {
        inverse[r] = 1.0f / Exponentials(scores + r * padded_n, n, padded_n, a.scale);
      }
    }
    for (Index pool = 0; pool < a.pools; pool += kMaxRows) {
      const Index count = std::min<Index>(kMaxRows, a.pools - pool);
      for (Index p = 0; p < count; ++p) {
        for (Index r = 0; r < queries; ++r) {
          weights[p * kQueries + r] = a.weights[(pool + p) * n + first + r] * inverse[r];
        }
      }
      kProducts[count - 1]({.a = weights,
                            .a_stride = kQueries,
                            .b = scores,
                            .b_stride = padded_n,
                            .depth = queries,
                            .c = result,
                            .c_stride = padded_n},
                           vectors);
      for (Index p = 0; p < count; ++p) {
        const float* from = result + p * padded_n;
        float* to = a.out + (pool + p) * n;
        for (Index i = 0; i < n; ++i) to[i] += from[i];
      }
    }
  }
}

void AttentionF32(const AttentionArgs<float>& a) { AttentionRows(a); }
void AttentionBF16(const AttentionArgs<BFloat16>& a) { AttentionRows(a); }

}  // namespace HWY_NAMESPACE
}  // namespace cliplens::nn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cliplens::nn {

HWY_EXPORT(AttentionF32);
HWY_EXPORT(AttentionBF16);
HWY_EXPORT(PoolAttentionF32);

void Attention(const AttentionArgs<float>& args) { HWY_DYNAMIC_DISPATCH(AttentionF32)(args); }
void Attention(const AttentionArgs<BFloat16>& args) { HWY_DYNAMIC_DISPATCH(AttentionBF16)(args); }
void PoolAttention(const PoolAttentionArgs& args) { HWY_DYNAMIC_DISPATCH(PoolAttentionF32)(args); }

}  // namespace cliplens::nn
#endif  // HWY_ONCE
