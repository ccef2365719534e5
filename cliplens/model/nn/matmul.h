// Matrix products. Only matmul.cc uses oneDNN.
//
//   const std::vector<float> weight(6, 1.0f);   // [2, 3]
//   const nn::Weights weights(weight.data(), /*bias=*/nullptr, 2, 3, nn::Precision::kF32);
//   const std::vector<float> x = {1, 2, 3};
//   std::vector<float> y(2);
//   Team team;
//   nn::Linear(weights, {.rows = 1, .x = x.data(), .x_stride = 3, .y = y.data(), .y_stride = 2},
//              team);   // {6, 6}
//
// A product runs on the calling thread, or a team shares it in parts of fixed rows and columns. No
// sum is ever split, so the result does not depend on the number of threads. Matrices are
// row-major; a `stride` is the distance between rows.
#pragma once

#include <cstdint>
#include <memory>

#include "cliplens/base/array.h"
#include "cliplens/base/parallel.h"

namespace cliplens::nn {

// The upper half of a float: 8 bits of exponent, 7 of mantissa.
struct BFloat16 {
  std::uint16_t bits = 0;
};
BFloat16 ToBFloat16(float value);  // nearest, ties to even
float ToFloat(BFloat16 value);

// The type of weights and of the inputs of products; sums are fp32 in both.
enum class Precision { kF32, kBF16 };
// Whether this processor has products of bfloat16 (AVX-512 BF16 or AMX). Without them bfloat16
// would be slower than fp32.
bool HasBFloat16();

enum class Epilogue { kNone, kGelu, kQuickGelu, kGeluTanh };

// weight [out, in] and bias [out] of a linear layer, in the order in which products read fastest.
class Weights {
 public:
  Weights();
  // weight as in PyTorch's Linear; bias may be null. Both are copied.
  Weights(const float* weight, const float* bias, Index out, Index in, Precision precision);
  ~Weights();
  Weights(Weights&&) noexcept;
  Weights& operator=(Weights&&) noexcept;

  bool empty() const { return impl_ == nullptr; }
  Index in() const;
  Index out() const;
  // Whether a row of the result has the same bits wherever it stands and however many rows there
  // are, as tested on this processor. If not, a product must not have rows of several items, since
  // an item's numbers would depend on the other items.
  bool rows_are_independent() const;

  // weight [out, in] in its plain order again, as the products see it: rounded with bfloat16.
  Array<float, 2> Unpack() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// The error of an element, here and in Gemm, is at most 4e-7 of the sum of its terms' absolute
// values (measured: 3.1e-7, for sums of up to 3,072 products).
//
// y [rows, out] = epilogue(x [rows, in] · weight^T + bias); with `accumulate` the product is added
// to y (and there is no epilogue). x is of the weights' precision; y is fp32 or, without
// `accumulate`, bfloat16. Rows that are independent are shared by the team.
template <typename X, typename Y>
struct LinearArgs {
  Index rows = 0;
  const X* x = nullptr;
  Index x_stride = 0;
  Y* y = nullptr;
  Index y_stride = 0;
  Epilogue epilogue = Epilogue::kNone;
  bool accumulate = false;
};
void Linear(const Weights& weights, const LinearArgs<float, float>& args, Team& team);
void Linear(const Weights& weights, const LinearArgs<BFloat16, float>& args, Team& team);
void Linear(const Weights& weights, const LinearArgs<BFloat16, BFloat16>& args, Team& team);

// c [m, n] = alpha · a [m, k] · op(b) + beta · c, op(b) = b [k, n] or, with `transpose_b`, b^T of
// b [n, k]. On the calling thread.
struct GemmArgs {
  Index m = 0;
  Index n = 0;
  Index k = 0;
  const float* a = nullptr;
  Index a_stride = 0;
  const float* b = nullptr;
  Index b_stride = 0;
  bool transpose_b = false;
  float* c = nullptr;
  Index c_stride = 0;
  float alpha = 1;
  float beta = 0;
};
void Gemm(const GemmArgs& args);
// c [m, n] = a [m, k] · b [k, n], all with their rows one after the other.
void Gemm(ArrayView<const float, 2> a, ArrayView<const float, 2> b, float* c);

// Plain loops in fp64, for tests.
void RefLinear(const float* weight, const float* bias, Index out, Index in,
               const LinearArgs<float, float>& args);
void RefGemm(const GemmArgs& args);

}  // namespace cliplens::nn
