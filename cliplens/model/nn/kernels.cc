#include "cliplens/model/nn/kernels.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cliplens/model/nn/kernels.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// The target-specific code below is compiled once for each instruction set.
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

}  // namespace HWY_NAMESPACE
}  // namespace cliplens::nn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cliplens::nn {

HWY_EXPORT(LayerNormF32);
HWY_EXPORT(LayerNormBF16);

void LayerNorm(const LayerNormArgs<float>& args) { HWY_DYNAMIC_DISPATCH(LayerNormF32)(args); }
void LayerNorm(const LayerNormArgs<BFloat16>& args) { HWY_DYNAMIC_DISPATCH(LayerNormBF16)(args); }

}  // namespace cliplens::nn
#endif  // HWY_ONCE
