#include "cliplens/model/nn/kernels.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cliplens/model/nn/kernels.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// The target-specific code below is compiled once for each instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cliplens::nn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;

void LayerNormRows(const float* x, Index rows, Index width, const float* gain, const float* bias,
                   float epsilon, float* y) {
  const D d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  const float inverse_width = 1.0f / static_cast<float>(width);
  for (Index r = 0; r < rows; ++r, x += width, y += width) {
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
    const float inverse = 1.0f / std::sqrt(variance * inverse_width + epsilon);

    const auto vector_inverse = hn::Set(d, inverse);
    for (i = 0; i + lanes <= width; i += lanes) {
      const auto c = hn::Mul(hn::Sub(hn::LoadU(d, x + i), vector_mean), vector_inverse);
      hn::StoreU(hn::MulAdd(c, hn::LoadU(d, gain + i), hn::LoadU(d, bias + i)), d, y + i);
    }
    for (; i < width; ++i) y[i] = (x[i] - mean) * inverse * gain[i] + bias[i];
  }
}

void SoftmaxRows(float* x, Index rows, Index stride, Index count, bool causal) {
  const D d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  for (Index r = 0; r < rows; ++r, x += stride) {
    const Index n = causal ? count + r : count;
    float maximum = x[0];
    Index i = 0;
    if (n >= lanes) {
      auto m = hn::LoadU(d, x);
      for (i = lanes; i + lanes <= n; i += lanes) m = hn::Max(m, hn::LoadU(d, x + i));
      maximum = hn::GetLane(hn::MaxOfLanes(d, m));
    }
    for (; i < n; ++i) maximum = x[i] > maximum ? x[i] : maximum;

    // The last, partial vector goes through a buffer so that every entry takes the same
    // exponential.
    const auto vector_maximum = hn::Set(d, maximum);
    auto vector_sum = hn::Zero(d);
    for (i = 0; i + lanes <= n; i += lanes) {
      const auto e = hn::Exp(d, hn::Sub(hn::LoadU(d, x + i), vector_maximum));
      vector_sum = hn::Add(vector_sum, e);
      hn::StoreU(e, d, x + i);
    }
    float sum = hn::GetLane(hn::SumOfLanes(d, vector_sum));
    if (i < n) {
      HWY_ALIGN float tail[hn::MaxLanes(D())] = {};
      for (Index j = i; j < n; ++j) tail[j - i] = x[j] - maximum;
      hn::Store(hn::Exp(d, hn::Load(d, tail)), d, tail);
      for (Index j = i; j < n; ++j) {
        x[j] = tail[j - i];
        sum += x[j];
      }
    }
    const float inverse = 1.0f / sum;
    const auto vector_inverse = hn::Set(d, inverse);
    for (i = 0; i + lanes <= n; i += lanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, x + i), vector_inverse), d, x + i);
    }
    for (; i < n; ++i) x[i] *= inverse;
    if (causal) {
      for (i = n; i < count + rows - 1; ++i) x[i] = 0.0f;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace cliplens::nn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cliplens::nn {

HWY_EXPORT(LayerNormRows);
HWY_EXPORT(SoftmaxRows);

void LayerNorm(const float* x, Index rows, Index width, const float* gain, const float* bias,
               float epsilon, float* y) {
  HWY_DYNAMIC_DISPATCH(LayerNormRows)(x, rows, width, gain, bias, epsilon, y);
}

void Softmax(float* x, Index rows, Index stride, Index count, bool causal) {
  HWY_DYNAMIC_DISPATCH(SoftmaxRows)(x, rows, stride, count, causal);
}

}  // namespace cliplens::nn
#endif  // HWY_ONCE
