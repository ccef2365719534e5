#include "cliplens/model/nn/kernels.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cliplens/model/nn/kernels.cc"
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

HWY_INLINE void Put(hn::Vec<D> value, float* y) { hn::StoreU(value, D(), y); }
HWY_INLINE void Put(float value, float* y) { *y = value; }

HWY_INLINE void Put(hn::Vec<D> value, BFloat16* y) { StoreBFloat16(value, y); }
HWY_INLINE void Put(float value, BFloat16* y) { *y = ToBFloat16(value); }

template <typename Y>
HWY_INLINE void LayerNormRows(const LayerNormArgs<Y>& args) {
  const Index width = args.width;
  const float* x = args.x;
  const float* const gain = args.gain;
  const float* const bias = args.bias;
  Y* y = args.y;
  const D d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  const float inverse_width = 1.0f / static_cast<float>(width);
  for (Index r = 0; r < args.rows; ++r, x += width, y += width) {
    auto sum = hn::Zero(d);
    Index i = 0;
    for (; i + lanes <= width; i += lanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
    float mean = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < width; ++i) mean += x[i];
    mean *= inverse_width;

    const auto vector_mean = hn::Set(d, mean);
    auto square = hn::Zero(d);
    for (i = 0; i + lanes <= width; i += lanes) {
      const auto c = hn::Sub(hn::LoadU(d, x + i), vector_mean);
      square = hn::MulAdd(c, c, square);
    }
    float variance = hn::GetLane(hn::SumOfLanes(d, square));
    for (; i < width; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const float inverse = 1.0f / std::sqrt(variance * inverse_width + args.epsilon);

    const auto vector_inverse = hn::Set(d, inverse);
    for (i = 0; i + lanes <= width; i += lanes) {
      const auto c = hn::Mul(hn::Sub(hn::LoadU(d, x + i), vector_mean), vector_inverse);
      Put(hn::MulAdd(c, hn::LoadU(d, gain + i), hn::LoadU(d, bias + i)), y + i);
    }
    for (; i < width; ++i) Put((x[i] - mean) * inverse * gain[i] + bias[i], y + i);
  }
}

void LayerNormF32(const LayerNormArgs<float>& args) { LayerNormRows(args); }
void LayerNormBF16(const LayerNormArgs<BFloat16>& args) { LayerNormRows(args); }

// Φ by Abramowitz and Stegun, 7.1.26, as oneDNN has it: 1 − Φ(|x|) = q(t) exp(−x²/2), with a
// polynomial of t = 1 / (1 + p |x| / √2).
HWY_INLINE hn::Vec<D> GeluOf(hn::Vec<D> x) {
  const D d;
  constexpr float kP = 0.3275911f * 0.70710678118654752f;
  constexpr float kQ[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
  const auto one = hn::Set(d, 1.0f);
  const auto t = hn::Div(one, hn::MulAdd(hn::Set(d, kP), hn::Abs(x), one));
  auto q = hn::Set(d, kQ[0]);
  for (int i = 1; i < 5; ++i) q = hn::MulAdd(q, t, hn::Set(d, kQ[i]));
  const auto exponent = hn::Mul(hn::Mul(hn::Set(d, -0.5f), x), x);
  const auto half = hn::Mul(hn::Set(d, 0.5f), hn::Exp(d, exponent));
  const auto upper = hn::Mul(hn::Mul(q, t), half);
  return hn::Mul(x, hn::IfThenElse(hn::Lt(x, hn::Zero(d)), upper, hn::Sub(one, upper)));
}

void GeluF32(Index n, float* x) {
  const D d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(GeluOf(hn::LoadU(d, x + i)), d, x + i);
  for (; i < n; ++i) x[i] = hn::GetLane(GeluOf(hn::Set(d, x[i])));
}

}  // namespace HWY_NAMESPACE
}  // namespace cliplens::nn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cliplens::nn {

HWY_EXPORT(LayerNormF32);
HWY_EXPORT(LayerNormBF16);
HWY_EXPORT(GeluF32);

void LayerNorm(const LayerNormArgs<float>& args) { HWY_DYNAMIC_DISPATCH(LayerNormF32)(args); }
void LayerNorm(const LayerNormArgs<BFloat16>& args) { HWY_DYNAMIC_DISPATCH(LayerNormBF16)(args); }

void Gelu(Index n, float* x) { HWY_DYNAMIC_DISPATCH(GeluF32)(n, x); }

}  // namespace cliplens::nn
#endif  // HWY_ONCE
