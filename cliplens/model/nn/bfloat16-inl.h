// Vectors of floats to bfloat16, for sources that Highway compiles once for each instruction set.
#if defined(CLIPLENS_MODEL_NN_BFLOAT16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CLIPLENS_MODEL_NN_BFLOAT16_INL_H_
#undef CLIPLENS_MODEL_NN_BFLOAT16_INL_H_
#else
#define CLIPLENS_MODEL_NN_BFLOAT16_INL_H_
#endif

#include <hwy/highway.h>

#include "cliplens/model/nn/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace cliplens::nn {
namespace HWY_NAMESPACE {

// Nearest, ties to even, as ToBFloat16; not for NaN.
HWY_INLINE void StoreBFloat16(hwy::HWY_NAMESPACE::Vec<hwy::HWY_NAMESPACE::ScalableTag<float>> value,
                              BFloat16* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<std::uint32_t> du;
  const hn::ScalableTag<std::int32_t> di;
  const hn::Rebind<std::uint16_t, decltype(di)> half;
  const auto bits = hn::BitCast(du, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto upper = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7FFFu)), odd));
  hn::StoreU(hn::DemoteTo(half, hn::BitCast(di, upper)), half, &to->bits);
}

}  // namespace HWY_NAMESPACE
}  // namespace cliplens::nn
HWY_AFTER_NAMESPACE();

#endif  // CLIPLENS_MODEL_NN_BFLOAT16_INL_H_
