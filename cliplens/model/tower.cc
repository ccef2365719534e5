#include "cliplens/model/tower.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {
namespace {

const float* Weights(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw Error(ErrorCode::kInternal, "tensor '{}' was not loaded", name);
  }
  return found->second.values.data();
}

void Grow(std::vector<float>& buffer, Index size) {
  if (static_cast<Index>(buffer.size()) < size) buffer.resize(static_cast<std::size_t>(size));
}

void Prepare(Activations& a, const TowerConfig& config, Index tokens) {
  const Index layers = config.layers;
  const Shape<3> heads = {layers, config.heads, config.head_width()};
  if (a.z.shape() != heads) {
    a.z = Array<float, 3>(heads);
    a.z_self = Array<float, 3>(heads);
    a.mlp = Array<float, 2>({layers + 1, config.width});
  }
  if (!a.tokens) return;
  const Shape<3> pattern = {layers, config.heads, tokens};
  if (a.pattern.shape() != pattern) {
    a.pattern = Array<float, 3>(pattern);
    a.value = Array<float, 3>({layers, tokens, config.width});
  }
}

}  // namespace

Tower::Tower(const TowerConfig& config, Activation activation, const TensorMap& tensors,
             const std::string& prefix, Index embed_width, bool causal)
    : config_(config), activation_(activation), causal_(causal), embed_width_(embed_width) {
  for (Index l = 0; l < config.layers; ++l) {
    const auto get = [&](const char* part) {
      return Weights(tensors, fmt::format("{}.block.{}.{}", prefix, l, part));
    };
    blocks_.push_back({get("ln1.gain"), get("ln1.bias"), get("attn.in.weight"), get("attn.in.bias"),
                       get("attn.out.weight"), get("attn.out.bias"), get("ln2.gain"),
                       get("ln2.bias"), get("mlp.in.weight"), get("mlp.in.bias"),
                       get("mlp.out.weight"), get("mlp.out.bias")});
  }
  ln_post_gain_ = Weights(tensors, prefix + ".ln_post.gain");
  ln_post_bias_ = Weights(tensors, prefix + ".ln_post.bias");
  projection_ = Weights(tensors, prefix + ".projection");
}

void Tower::Run(Index tokens, Index pooled, Workspace& w, std::span<float> embedding,
                Activations* activations) const {
  const Index width = config_.width;
  const Index head_width = config_.head_width();
  const auto epsilon = static_cast<float>(config_.norm_epsilon);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  const nn::Epilogue gelu =
      activation_ == Activation::kGelu ? nn::Epilogue::kGelu : nn::Epilogue::kQuickGelu;
  Grow(w.normed, tokens * width);
  Grow(w.qkv, tokens * 3 * width);
  Grow(w.scores, tokens * tokens);
  Grow(w.attended, tokens * width);
  Grow(w.hidden, tokens * config_.mlp_width);
  if (activations != nullptr) {
    Prepare(*activations, config_, tokens);
    std::copy_n(w.x.data() + pooled * width, width, activations->mlp.row(0).data());
  }

  for (Index l = 0; l < config_.layers; ++l) {
    const Block& block = blocks_[static_cast<std::size_t>(l)];
    // After its keys and values the last block is needed for the pooled row alone.
    const bool last = l + 1 == config_.layers;
    const Index first = last ? pooled : 0;
    const Index rows = last ? 1 : tokens;
    float* x = w.x.data() + first * width;
    float* attended = w.attended.data();

    nn::LayerNorm(w.x.data(), tokens, width, block.ln1_gain, block.ln1_bias, epsilon,
                  w.normed.data());
    if (last) {
      nn::Linear({.rows = 1,
                  .in = width,
                  .out = width,
                  .x = w.normed.data() + pooled * width,
                  .x_stride = width,
                  .weight = block.in_weight,
                  .bias = block.in_bias,
                  .y = w.qkv.data() + pooled * 3 * width,
                  .y_stride = 3 * width});
      nn::Linear({.rows = tokens,
                  .in = width,
                  .out = 2 * width,
                  .x = w.normed.data(),
                  .x_stride = width,
                  .weight = block.in_weight + width * width,
                  .bias = block.in_bias + width,
                  .y = w.qkv.data() + width,
                  .y_stride = 3 * width});
    } else {
      nn::Linear({.rows = tokens,
                  .in = width,
                  .out = 3 * width,
                  .x = w.normed.data(),
                  .x_stride = width,
                  .weight = block.in_weight,
                  .bias = block.in_bias,
                  .y = w.qkv.data(),
                  .y_stride = 3 * width});
    }
    for (Index h = 0; h < config_.heads; ++h) {
      const float* query = w.qkv.data() + first * 3 * width + h * head_width;
      const float* key = w.qkv.data() + width + h * head_width;
      const float* value = w.qkv.data() + 2 * width + h * head_width;
      nn::Gemm({.m = rows,
                .n = tokens,
                .k = head_width,
                .a = query,
                .a_stride = 3 * width,
                .b = key,
                .b_stride = 3 * width,
                .transpose_b = true,
                .c = w.scores.data(),
                .c_stride = tokens,
                .alpha = scale});
      nn::Softmax(w.scores.data(), rows, tokens, causal_ ? first + 1 : tokens, causal_);
      nn::Gemm({.m = rows,
                .n = head_width,
                .k = tokens,
                .a = w.scores.data(),
                .a_stride = tokens,
                .b = value,
                .b_stride = 3 * width,
                .c = attended + h * head_width,
                .c_stride = width});
      if (activations != nullptr) {
        const float* alpha = w.scores.data() + (pooled - first) * tokens;
        std::span<float> self = (*activations).z_self[l].row(h);
        for (Index k = 0; k < head_width; ++k) {
          self[static_cast<std::size_t>(k)] = alpha[pooled] * value[pooled * 3 * width + k];
        }
        if (activations->tokens) {
          std::copy_n(alpha, tokens, activations->pattern[l].row(h).data());
        }
      }
    }
    if (activations != nullptr) {
      std::copy_n(attended + (pooled - first) * width, width, activations->z.row(l).data());
      if (activations->tokens) {
        for (Index i = 0; i < tokens; ++i) {
          std::copy_n(w.qkv.data() + i * 3 * width + 2 * width, width,
                      activations->value[l].row(i).data());
        }
      }
    }
    nn::Linear({.rows = rows,
                .in = width,
                .out = width,
                .x = attended,
                .x_stride = width,
                .weight = block.out_weight,
                .bias = block.out_bias,
                .y = x,
                .y_stride = width,
                .accumulate = true});
    nn::LayerNorm(x, rows, width, block.ln2_gain, block.ln2_bias, epsilon, w.normed.data());
    nn::Linear({.rows = rows,
                .in = width,
                .out = config_.mlp_width,
                .x = w.normed.data(),
                .x_stride = width,
                .weight = block.mlp_in_weight,
                .bias = block.mlp_in_bias,
                .y = w.hidden.data(),
                .y_stride = config_.mlp_width,
                .epilogue = gelu});
    // The MLP's output on its own is what the decomposition asks for; the residual is added after.
    nn::Linear({.rows = rows,
                .in = config_.mlp_width,
                .out = width,
                .x = w.hidden.data(),
                .x_stride = config_.mlp_width,
                .weight = block.mlp_out_weight,
                .bias = block.mlp_out_bias,
                .y = w.normed.data(),
                .y_stride = width});
    for (Index i = 0; i < rows * width; ++i) x[i] += w.normed[static_cast<std::size_t>(i)];
    if (activations != nullptr) {
      std::copy_n(w.normed.data() + (pooled - first) * width, width,
                  activations->mlp.row(l + 1).data());
    }
  }

  // LN_post of the pooled row, its moments in fp64: they are factors of the decomposition.
  const float* row = w.x.data() + pooled * width;
  double mean = 0;
  for (Index i = 0; i < width; ++i) mean += row[i];
  mean /= static_cast<double>(width);
  double variance = 0;
  for (Index i = 0; i < width; ++i) variance += (row[i] - mean) * (row[i] - mean);
  const double sigma = std::sqrt(variance / static_cast<double>(width) + config_.norm_epsilon);
  for (Index i = 0; i < width; ++i) {
    w.normed[static_cast<std::size_t>(i)] = static_cast<float>(
        (row[i] - mean) / sigma * ln_post_gain_[i] + static_cast<double>(ln_post_bias_[i]));
  }
  nn::Gemm({.m = 1,
            .n = embed_width_,
            .k = width,
            .a = w.normed.data(),
            .a_stride = width,
            .b = projection_,
            .b_stride = embed_width_,
            .c = embedding.data(),
            .c_stride = embed_width_});
  double square = 0;
  for (float v : embedding) square += static_cast<double>(v) * v;
  const double norm = std::sqrt(square);
  for (float& v : embedding) v = static_cast<float>(v / norm);
  if (activations != nullptr) {
    activations->mean = mean;
    activations->sigma = sigma;
    activations->norm = norm;
  }
}

}  // namespace cliplens
