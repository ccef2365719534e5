// The plain versions of the fast kernels: fp64, one loop a formula.
#include <algorithm>
#include <cmath>

#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens::nn {

void RefLinear(const LinearArgs& a) {
  for (Index r = 0; r < a.rows; ++r) {
    for (Index o = 0; o < a.out; ++o) {
      double sum = a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[o]);
      for (Index i = 0; i < a.in; ++i) {
        sum += static_cast<double>(a.x[r * a.x_stride + i]) * a.weight[o * a.in + i];
      }
      float& y = a.y[r * a.y_stride + o];
      if (a.accumulate) sum += y;
      if (a.epilogue == Epilogue::kGelu) sum *= 0.5 * (1.0 + std::erf(sum / std::sqrt(2.0)));
      if (a.epilogue == Epilogue::kQuickGelu) sum /= 1.0 + std::exp(-1.702 * sum);
      y = static_cast<float>(sum);
    }
  }
}

void RefGemm(const GemmArgs& a) {
  for (Index i = 0; i < a.m; ++i) {
    for (Index j = 0; j < a.n; ++j) {
      double sum = 0;
      for (Index k = 0; k < a.k; ++k) {
        const float b = a.transpose_b ? a.b[j * a.b_stride + k] : a.b[k * a.b_stride + j];
        sum += static_cast<double>(a.a[i * a.a_stride + k]) * b;
      }
      float& c = a.c[i * a.c_stride + j];
      c = static_cast<float>(a.alpha * sum + (a.beta == 0 ? 0.0 : a.beta * static_cast<double>(c)));
    }
  }
}

void RefLayerNorm(const float* x, Index rows, Index width, const float* gain, const float* bias,
                  float epsilon, float* y) {
  for (Index r = 0; r < rows; ++r, x += width, y += width) {
    double mean = 0;
    for (Index i = 0; i < width; ++i) mean += x[i];
    mean /= static_cast<double>(width);
    double variance = 0;
    for (Index i = 0; i < width; ++i) variance += (x[i] - mean) * (x[i] - mean);
    variance /= static_cast<double>(width);
    for (Index i = 0; i < width; ++i) {
      y[i] = static_cast<float>((x[i] - mean) / std::sqrt(variance + epsilon) * gain[i] + bias[i]);
    }
  }
}

void RefSoftmax(float* x, Index rows, Index stride, Index count, bool causal) {
  for (Index r = 0; r < rows; ++r, x += stride) {
    const Index n = causal ? count + r : count;
    const double maximum = *std::max_element(x, x + n);
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += std::exp(x[i] - maximum);
    for (Index i = 0; i < n; ++i) x[i] = static_cast<float>(std::exp(x[i] - maximum) / sum);
    if (causal) std::fill(x + n, x + count + rows - 1, 0.0f);
  }
}

}  // namespace cliplens::nn
