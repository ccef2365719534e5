// The plain versions of the fast kernels: fp64, one loop a formula.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "cliplens/model/nn/attention.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens::nn {

void RefLinear(const float* weight, const float* bias, Index out, Index in,
               const LinearArgs<float, float>& a) {
  for (Index r = 0; r < a.rows; ++r) {
    for (Index o = 0; o < out; ++o) {
      double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[o]);
      for (Index i = 0; i < in; ++i) {
        sum += static_cast<double>(a.x[r * a.x_stride + i]) * weight[o * in + i];
      }
      float& y = a.y[r * a.y_stride + o];
      if (a.accumulate) sum += y;
      if (a.epilogue == Epilogue::kGelu) sum *= 0.5 * (1.0 + std::erf(sum / std::sqrt(2.0)));
      if (a.epilogue == Epilogue::kQuickGelu) sum /= 1.0 + std::exp(-1.702 * sum);
      if (a.epilogue == Epilogue::kGeluTanh) {
        const double inner = std::sqrt(2.0 / std::numbers::pi) * (sum + 0.044715 * sum * sum * sum);
        sum *= 0.5 * (1.0 + std::tanh(inner));
      }
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

void RefLayerNorm(const LayerNormArgs<float>& a) {
  for (Index r = 0; r < a.rows; ++r) {
    const float* x = a.x + r * a.width;
    float* y = a.y + r * a.width;
    const RowMoments moments = MomentsOf({x, ToSize(a.width)}, a.epsilon);
    for (Index i = 0; i < a.width; ++i) {
      y[i] = static_cast<float>((x[i] - moments.mean) / moments.sigma * a.gain[i] + a.bias[i]);
    }
  }
}

void RefAttention(const AttentionArgs<float>& a) {
  std::vector<double> weights(ToSize(a.tokens));
  const auto hidden = [&](Index i) { return std::ranges::find(a.hidden, i) != a.hidden.end(); };
  for (Index r = 0; r < a.rows; ++r) {
    const Index seen = a.causal ? a.first + r + 1 : a.tokens;
    double maximum = -std::numeric_limits<double>::infinity();
    for (Index i = 0; i < seen; ++i) {
      double score = 0;
      for (Index k = 0; k < a.head_width; ++k) {
        score += static_cast<double>(a.q[r * a.q_stride + k]) * a.k[i * a.kv_stride + k];
      }
      At(weights, i) = score * a.scale;
      if (!hidden(i)) maximum = std::max(maximum, score * a.scale);
    }
    double sum = 0;
    for (Index i = 0; i < a.tokens; ++i) {
      double& w = At(weights, i);
      w = i < seen && !hidden(i) ? std::exp(w - maximum) : 0.0;
      sum += w;
    }
    for (Index k = 0; k < a.head_width; ++k) {
      double value = 0;
      for (Index i = 0; i < seen; ++i) {
        value += At(weights, i) / sum * a.v[i * a.kv_stride + k];
      }
      a.out[r * a.out_stride + k] = static_cast<float>(value);
    }
    if (a.alpha != nullptr && a.first + r == a.alpha_query) {
      for (Index i = 0; i < a.tokens; ++i) {
        a.alpha[i] = static_cast<float>(At(weights, i) / sum);
      }
    }
  }
}

}  // namespace cliplens::nn
