#include "cliplens/model/tower.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/model/nn/attention.h"
#include "cliplens/model/nn/kernels.h"

namespace cliplens {
namespace {

Tensor& Find(TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw Error(ErrorCode::kInternal, "tensor '{}' was not loaded", name);
  }
  return found->second;
}

void Prepare(Activations& a, const TowerConfig& config, Index tokens) {
  const Index layers = config.layers;
  const Shape<3> heads = {layers, config.heads, config.head_width()};
  if (a.z.shape() != heads) {
    a.z = Array<float, 3>(heads);
    a.z_self = Array<float, 3>(heads);
    a.mlp = Array<float, 2>({layers + 1, config.width});
  }
  if (a.everywhere && a.attention.shape() != Shape<3>{layers, tokens, tokens}) {
    a.attention = Array<float, 3>({layers, tokens, tokens});
    a.last = Array<float, 2>({tokens, config.width});
  }
  if (!a.tokens) return;
  const Shape<3> pattern = {layers, config.heads, tokens};
  if (a.pattern.shape() != pattern) {
    a.pattern = Array<float, 3>(pattern);
    a.value = Array<float, 3>({layers, tokens, config.width});
  }
}

float AsFloat(float value) { return value; }
float AsFloat(nn::BFloat16 value) { return nn::ToFloat(value); }

// Buffers of the type that products read.
template <typename T>
struct Scratch {
  T *normed, *attended, *hidden;
};

template <typename T>
Scratch<T> GrowScratch(Workspace& w, Index rows, Index width, Index mlp_width) {
  if constexpr (std::is_same_v<T, float>) {
    return {w.normed.Grow(rows * width), w.attended.Grow(rows * width),
            w.hidden.Grow(rows * mlp_width)};
  } else {
    return {w.normed16.Grow(rows * width), w.attended16.Grow(rows * width),
            w.hidden16.Grow(rows * mlp_width)};
  }
}

// Rows are given to the team in pieces of this many, and passes are filled up to a multiple.
constexpr Index kRowPiece = Tower::kSpareRows;

}  // namespace

const char* NameOf(Precision precision) { return precision == Precision::kBF16 ? "bf16" : "fp32"; }

Precision ParsePrecision(const std::string& name) {
  if (name == "fp32") return Precision::kF32;
  if (name == "bf16") return Precision::kBF16;
  if (name == "auto") return nn::HasBFloat16() ? Precision::kBF16 : Precision::kF32;
  throw Error(ErrorCode::kInvalidArgument, "no precision '{}'; give fp32, bf16 or auto", name);
}

struct Tower::Packed {
  struct Layer {
    nn::Weights qkv;        // all but the last layer
    nn::Weights query;      // the last layer: the pooled row's queries,
    nn::Weights key_value;  // all rows' keys and values
    nn::Weights out, mlp_in, mlp_out;
  };
  std::vector<Layer> layers;
  bool independent = true;
};

struct Tower::Plain {
  struct Layer {
    std::vector<float> in_weight, out_weight, mlp_in_weight, mlp_out_weight;
    const float *in_bias, *out_bias, *mlp_in_bias, *mlp_out_bias;
  };
  std::once_flag once;
  std::vector<Layer> layers;
  Packed packed;
};

Tower::Tower(const TowerConfig& config, Activation activation, TensorMap& tensors,
             const std::string& prefix, Index embed_width, bool causal, Precision precision)
    : config_(config),
      activation_(activation),
      causal_(causal),
      embed_width_(embed_width),
      precision_(precision),
      plain_(std::make_shared<Plain>()) {
  if (precision == Precision::kBF16 && !nn::HasBFloat16()) {
    throw Error(ErrorCode::kUnsupported,
                "this processor has no bfloat16 products (AVX-512 BF16 or AMX); use --precision "
                "fp32, or auto, which chooses");
  }
  for (Index l = 0; l < config.layers; ++l) {
    const auto tensor = [&](const char* part) -> Tensor& {
      return Find(tensors, fmt::format("{}.block.{}.{}", prefix, l, part));
    };
    const auto get = [&](const char* part) { return tensor(part).values.data(); };
    blocks_.push_back({get("ln1.gain"), get("ln1.bias"), get("ln2.gain"), get("ln2.bias")});
    std::vector<float>& out = tensor("attn.out.weight").values;
    if (precision == Precision::kBF16) {
      for (float& v : out) v = nn::ToFloat(nn::ToBFloat16(v));
    }
    plain_->layers.push_back({std::move(tensor("attn.in.weight").values), out,
                              std::move(tensor("mlp.in.weight").values),
                              std::move(tensor("mlp.out.weight").values), get("attn.in.bias"),
                              get("attn.out.bias"), get("mlp.in.bias"), get("mlp.out.bias")});
  }
  ln_post_gain_ = Find(tensors, prefix + ".ln_post.gain").values.data();
  ln_post_bias_ = Find(tensors, prefix + ".ln_post.bias").values.data();
  projection_ = Find(tensors, prefix + ".projection").values.data();
}

const Tower::Packed& Tower::packed(int threads) const {
  std::call_once(plain_->once, [&] {
    const Index width = config_.width;
    const Index mlp_width = config_.mlp_width;
    std::vector<Packed::Layer>& layers = plain_->packed.layers;
    layers.resize(ToSize(config_.layers));
    ParallelFor(threads, config_.layers, [&](Index l, int) {
      Plain::Layer& p = At(plain_->layers, l);
      Packed::Layer& layer = At(layers, l);
      const float* in = p.in_weight.data();
      if (l + 1 < config_.layers) {
        layer.qkv = {in, p.in_bias, 3 * width, width, precision_};
      } else {
        layer.query = {in, p.in_bias, width, width, precision_};
        layer.key_value = {in + width * width, p.in_bias + width, 2 * width, width, precision_};
      }
      layer.out = {p.out_weight.data(), p.out_bias, width, width, precision_};
      layer.mlp_in = {p.mlp_in_weight.data(), p.mlp_in_bias, mlp_width, width, precision_};
      layer.mlp_out = {p.mlp_out_weight.data(), p.mlp_out_bias, width, mlp_width, precision_};
      p = {};
    });
    plain_->layers.clear();
    for (const Packed::Layer& layer : layers) {
      for (const nn::Weights* w : {&layer.qkv, &layer.query, &layer.key_value, &layer.out,
                                   &layer.mlp_in, &layer.mlp_out}) {
        if (!w->empty() && !w->rows_are_independent()) plain_->packed.independent = false;
      }
    }
  });
  return plain_->packed;
}

void Tower::Pack(int threads) const { packed(threads); }

bool Tower::items_share_a_pass() const { return packed().independent; }

void Tower::Run(std::span<const ItemRows> items, Workspace& w, ArrayView<float, 2> embeddings,
                std::span<Activations> activations) const {
  const auto count = static_cast<Index>(items.size());
  const Index a_pass = packed().independent ? count : 1;
  float* x = w.x.data();
  for (Index g = 0; g < count; g += a_pass) {
    const auto first = ToSize(g);
    const auto n = ToSize(a_pass);
    const std::span<Activations> kept =
        activations.empty() ? activations : activations.subspan(first, n);
    if (precision_ == Precision::kBF16) {
      RunAs<nn::BFloat16>(items.subspan(first, n), x, w, embeddings.rows(g, g + a_pass), kept);
    } else {
      RunAs<float>(items.subspan(first, n), x, w, embeddings.rows(g, g + a_pass), kept);
    }
    x += items[first].tokens * config_.width;
  }
}

void Tower::KeepAttention(const ItemRows& item, const QueryKey& at, Team& team,
                          ArrayView<float, 2> mean) const {
  const Index head_width = config_.head_width();
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  const auto share = 1.0f / static_cast<float>(config_.heads);
  team.Run(item.tokens, [&](Index i) {
    std::vector<float> alpha(ToSize(item.tokens));
    std::vector<float> unused(ToSize(head_width));
    std::ranges::fill(mean.row(i), 0.0f);
    for (Index h = 0; h < config_.heads; ++h) {
      std::ranges::fill(alpha, 0.0f);
      nn::Attention(nn::AttentionArgs<float>{.first = i,
                                             .rows = 1,
                                             .tokens = item.tokens,
                                             .head_width = head_width,
                                             .q = at.query + i * at.query_stride + h * head_width,
                                             .k = at.key + h * head_width,
                                             .v = at.key + config_.width + h * head_width,
                                             .q_stride = at.query_stride,
                                             .kv_stride = at.key_stride,
                                             .scale = scale,
                                             .causal = causal_,
                                             .out = unused.data(),
                                             .out_stride = head_width,
                                             .alpha = alpha.data(),
                                             .alpha_query = i});
      std::ranges::transform(mean.row(i), alpha, mean.row(i).begin(),
                             [&](float sum, float a) { return sum + share * a; });
    }
  });
}

template <typename T>
void Tower::RunAs(std::span<const ItemRows> items, float* x, Workspace& w,
                  ArrayView<float, 2> embeddings, std::span<Activations> activations) const {
  const Packed& packed = this->packed();
  const Index width = config_.width;
  const Index head_width = config_.head_width();
  const Index mlp_width = config_.mlp_width;
  const auto count = static_cast<Index>(items.size());
  const auto epsilon = static_cast<float>(config_.norm_epsilon);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  const nn::Epilogue gelu =
      activation_ == Activation::kGelu ? nn::Epilogue::kGelu : nn::Epilogue::kQuickGelu;
  Team& team = w.team;

  std::vector<Index> begins;  // first row of each item
  Index tokens = 0;
  Index longest = 0;
  for (const ItemRows& item : items) {
    begins.push_back(tokens);
    tokens += item.tokens;
    longest = std::max(longest, item.tokens);
  }
  // Few numbers of rows, so that few products are compiled: the rows that fill up are zeros.
  const Index rows = packed.independent ? (tokens + kRowPiece - 1) / kRowPiece * kRowPiece : tokens;
  const Scratch<T> scratch = GrowScratch<T>(w, rows, width, mlp_width);
  T* const normed = scratch.normed;
  T* const attended = scratch.attended;
  T* const hidden = scratch.hidden;
  float* qkv = w.qkv.Grow(rows * 3 * width);
  float* before = w.before.Grow(count * width);
  float* alpha = activations.empty() ? nullptr : w.alpha.Grow(count * config_.heads * longest);
  if (rows > tokens) {
    std::fill(x + tokens * width, x + rows * width, 0.0f);
    std::fill(attended + tokens * width, attended + rows * width, T{});
  }
  const auto pooled_row = [&](Index g) { return At(begins, g) + At(items, g).pooled; };
  for (std::size_t g = 0; g < activations.size(); ++g) {
    Prepare(activations[g], config_, items[g].tokens);
    std::copy_n(x + pooled_row(static_cast<Index>(g)) * width, width,
                activations[g].mlp.row(0).data());
  }
  const bool everywhere =
      std::ranges::any_of(activations, [](const Activations& a) { return a.everywhere; });
  const auto layer_norm = [&](const float* from, Index n, const float* gain, const float* bias,
                              T* to) {
    const Index pieces = team.threads() == 1 ? 1 : (n + kRowPiece - 1) / kRowPiece;
    const Index piece = team.threads() == 1 ? n : kRowPiece;
    team.Run(pieces, [&](Index i) {
      const Index first = i * piece;
      nn::LayerNorm(from + first * width, std::min(piece, n - first), width, gain, bias, epsilon,
                    to + first * width);
    });
  };

  for (Index l = 0; l < config_.layers; ++l) {
    const Block& block = At(blocks_, l);
    const Packed::Layer& layer = At(packed.layers, l);
    // After its keys and values the last block is needed for the pooled rows alone, unless all are
    // asked for.
    const bool last = l + 1 == config_.layers;
    const bool pooled_only = last && !everywhere;
    layer_norm(x, rows, block.ln1_gain, block.ln1_bias, normed);
    const float* query = qkv;
    Index query_stride = 3 * width;
    const float* keys = qkv + width;
    Index key_stride = 3 * width;
    if (last) {
      nn::Linear(layer.key_value,
                 nn::LinearArgs<T, float>{
                     .rows = rows, .x = normed, .x_stride = width, .y = qkv, .y_stride = 2 * width},
                 team);
      keys = qkv;
      key_stride = 2 * width;
      const Index queries = pooled_only ? count : rows;
      if (pooled_only) {
        // From here on one row an item: the pooled ones, packed to the front.
        float* pooled = w.pooled.Grow(count * width);
        for (Index g = 0; g < count; ++g) {
          std::copy_n(x + pooled_row(g) * width, width, pooled + g * width);
          std::copy_n(normed + pooled_row(g) * width, width, attended + g * width);
        }
        x = pooled;
      }
      float* last_query = w.query.Grow(queries * width);
      nn::Linear(layer.query,
                 nn::LinearArgs<T, float>{.rows = queries,
                                          .x = pooled_only ? attended : normed,
                                          .x_stride = width,
                                          .y = last_query,
                                          .y_stride = width},
                 team);
      query = last_query;
      query_stride = width;
    } else {
      nn::Linear(layer.qkv,
                 nn::LinearArgs<T, float>{
                     .rows = rows, .x = normed, .x_stride = width, .y = qkv, .y_stride = 3 * width},
                 team);
    }
    const auto row_of = [&](Index g) { return pooled_only ? g : pooled_row(g); };
    team.Run(count * config_.heads, [&](Index task) {
      const Index g = task / config_.heads;
      const Index h = task % config_.heads;
      const ItemRows& item = At(items, g);
      const Index begin = At(begins, g);
      const float* key = keys + begin * key_stride + h * head_width;
      nn::Attention(nn::AttentionArgs<T>{
          .first = pooled_only ? item.pooled : 0,
          .rows = pooled_only ? 1 : item.tokens,
          .tokens = item.tokens,
          .head_width = head_width,
          .q = query + (pooled_only ? g : begin) * query_stride + h * head_width,
          .k = key,
          .v = key + width,
          .q_stride = query_stride,
          .kv_stride = key_stride,
          .scale = scale,
          .causal = causal_,
          .out = attended + (pooled_only ? g : begin) * width + h * head_width,
          .out_stride = width,
          .alpha = alpha == nullptr ? nullptr : alpha + task * longest,
          .alpha_query = item.pooled});
    });
    for (std::size_t i = 0; i < activations.size(); ++i) {
      const auto g = static_cast<Index>(i);
      Activations& a = activations[i];
      const T* z = attended + row_of(g) * width;
      std::transform(z, z + width, a.z.row(l).data(), [](T v) { return AsFloat(v); });
      const float* value = keys + begins[i] * key_stride + width;
      for (Index h = 0; h < config_.heads; ++h) {
        const float* weights = alpha + (g * config_.heads + h) * longest;
        const float* own = value + items[i].pooled * key_stride + h * head_width;
        std::transform(own, own + head_width, a.z_self[l].row(h).data(),
                       [&](float v) { return weights[items[i].pooled] * v; });
        if (a.tokens) std::copy_n(weights, items[i].tokens, a.pattern[l].row(h).data());
      }
      for (Index t = 0; a.tokens && t < items[i].tokens; ++t) {
        std::copy_n(value + t * key_stride, width, a.value[l].row(t).data());
      }
    }
    for (std::size_t i = 0; i < activations.size(); ++i) {
      if (!activations[i].everywhere) continue;
      const Index begin = begins[i];
      KeepAttention(
          items[i],
          {query + begin * query_stride, query_stride, keys + begin * key_stride, key_stride}, team,
          activations[i].attention[l]);
    }
    const Index left = pooled_only ? count : rows;
    nn::Linear(layer.out,
               nn::LinearArgs<T, float>{.rows = left,
                                        .x = attended,
                                        .x_stride = width,
                                        .y = x,
                                        .y_stride = width,
                                        .accumulate = true},
               team);
    layer_norm(x, left, block.ln2_gain, block.ln2_bias, normed);
    nn::Linear(layer.mlp_in,
               nn::LinearArgs<T, T>{.rows = left,
                                    .x = normed,
                                    .x_stride = width,
                                    .y = hidden,
                                    .y_stride = mlp_width,
                                    .epilogue = gelu},
               team);
    // What the MLP adds to the pooled row is the difference that it makes: to the last bit the
    // share that the final residual holds, and no second product.
    for (std::size_t i = 0; i < activations.size(); ++i) {
      const auto g = static_cast<Index>(i);
      std::copy_n(x + row_of(g) * width, width, before + g * width);
    }
    nn::Linear(layer.mlp_out,
               nn::LinearArgs<T, float>{.rows = left,
                                        .x = hidden,
                                        .x_stride = mlp_width,
                                        .y = x,
                                        .y_stride = width,
                                        .accumulate = true},
               team);
    for (std::size_t i = 0; i < activations.size(); ++i) {
      const auto g = static_cast<Index>(i);
      const float* after = x + row_of(g) * width;
      std::transform(after, after + width, before + g * width, activations[i].mlp.row(l + 1).data(),
                     std::minus<>());
    }
  }
  for (std::size_t i = 0; i < activations.size(); ++i) {
    if (!activations[i].everywhere) continue;
    std::copy_n(x + begins[i] * width, items[i].tokens * width, activations[i].last.data());
  }
  for (Index g = 0; g < count; ++g) {
    Finish(x + (everywhere ? pooled_row(g) : g) * width, embeddings.row(g),
           activations.empty() ? nullptr : &At(activations, g));
  }
}

void Tower::Finish(const float* row, std::span<float> embedding, Activations* activations) const {
  // LN_post of the pooled row, its moments in fp64: they are factors of the decomposition.
  const Index width = config_.width;
  double mean = 0;
  for (Index i = 0; i < width; ++i) mean += row[i];
  mean /= static_cast<double>(width);
  double variance = 0;
  for (Index i = 0; i < width; ++i) variance += (row[i] - mean) * (row[i] - mean);
  const double sigma = std::sqrt(variance / static_cast<double>(width) + config_.norm_epsilon);
  std::vector<float> normed(ToSize(width));
  for (Index i = 0; i < width; ++i) {
    At(normed, i) = static_cast<float>((row[i] - mean) / sigma * ln_post_gain_[i] +
                                       static_cast<double>(ln_post_bias_[i]));
  }
  nn::Gemm({.m = 1,
            .n = embed_width_,
            .k = width,
            .a = normed.data(),
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
