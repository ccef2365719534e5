// Element-wise kernels over rows, dispatched at run time to the processor's widest vectors.
//
//   const std::vector<float> row = {1, 2, 3};
//   Print(nn::MomentsOf(row, /*epsilon=*/1e-5).mean);   // 2
#pragma once

#include <cmath>
#include <span>

#include "cliplens/base/array.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens::nn {

// μ and σ = sqrt(var + ε) of a row, summed in fp64: what a LayerNorm subtracts and divides by.
struct RowMoments {
  double mean = 0;
  double sigma = 0;
};
inline RowMoments MomentsOf(std::span<const float> row, double epsilon) {
  const auto width = static_cast<double>(row.size());
  double mean = 0;
  for (const float v : row) mean += v;
  mean /= width;
  double variance = 0;
  for (const float v : row) variance += (v - mean) * (v - mean);
  return {mean, std::sqrt(variance / width + epsilon)};
}

// y[i] = gain ⊙ (x[i] − mean) / sqrt(var + epsilon) + bias for each of `rows` rows of `width`
// numbers, contiguous; an fp32 y may be x. Each row is read from memory once. The error is at most
// 4e-7 of |gain| · max|x| / sqrt(var + epsilon) + |bias| (measured: 2.8e-7, for widths up to 1,664
// and means up to 333 standard deviations).
template <typename Y>
struct LayerNormArgs {
  Index rows = 0;
  Index width = 0;
  const float* x = nullptr;     // [rows, width]
  const float* gain = nullptr;  // [width]
  const float* bias = nullptr;  // [width]
  float epsilon = 0;
  Y* y = nullptr;  // [rows, width]
};
void LayerNorm(const LayerNormArgs<float>& args);
void LayerNorm(const LayerNormArgs<BFloat16>& args);

// x[i] = x[i] Φ(x[i]), the exact GELU. The error is at most 3e-7 of |x[i]| (measured: 2.4e-7).
void Gelu(Index n, float* x);

// Plain version in fp64, for tests.
void RefLayerNorm(const LayerNormArgs<float>& args);

}  // namespace cliplens::nn
