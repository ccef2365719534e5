#include "cliplens/model/token_pool.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "cliplens/model/nn/attention.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {
namespace {

// The least range that has the layers of both.
LayerRange Both(LayerRange a, LayerRange b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

void Give(PerLayer<3>& values, LayerRange layers, Index rows, Index columns) {
  values = {layers, Array<float, 3>({layers.size(), rows, columns})};
}

// weights [Q, N] times rows [N, n], [Q, n].
void WeightedRows(ArrayView<const float, 2> weights, std::span<const float> rows, float* out) {
  const Index tokens = weights.dim(1);
  nn::Gemm(weights, {rows.data(), {tokens, static_cast<Index>(rows.size()) / tokens}}, out);
}

}  // namespace

// The weights of one item.
struct TokenPool::Weights {
  Array<float, 2> rows;                       // [Q, N]
  std::optional<AttentionPool::Pooled> pool;  // of an attention pool
  double norm = 1;                            // the length of its embedding
  Vector constants = {};                      // a component's share of the pool's constants [E]

  Index count() const { return rows.dim(0); }
};

TokenPool::TokenPool(const ModelConfig& config, const TensorMap& tensors)
    : tower_(config.vision),
      layout_(config.layout()),
      embed_width_(config.embed_width),
      normed_(config.pool.kind == Pooling::kNormedAverage) {
  if (config.pool.kind == Pooling::kAttention) attention_.emplace(config, tensors);
}

CaptureRequest TokenPool::Needs(const CaptureRequest& request) const {
  CaptureRequest needs = request;
  const LayerRange self = layout_.has_class() ? request.z_self : LayerRange{};
  const LayerRange pattern = Both(request.pattern, self);
  needs.z = needs.z_self = needs.parts = needs.pattern = {};
  needs.last = true;
  needs.z_rows = Both(request.z_rows, request.z);
  needs.part_rows = Both(request.part_rows, request.parts);
  needs.query_key = Both(request.query_key, pattern);
  needs.value = Both(request.value, self);
  return needs;
}

void TokenPool::Pool(Captures& rows, const CaptureRequest& request, Captures* captures,
                     std::span<float> pooled, Team& team) const {
  const Index tokens = rows.last.dim(0);
  Weights w;
  if (attention_) {
    w.pool = attention_->Run(rows.last);
    w.rows = w.pool->weights;
    w.norm = w.pool->embedding.norm();
    std::ranges::transform(w.pool->embedding, pooled.begin(),
                           [](double v) { return static_cast<float>(v); });
  } else {
    w.rows = Array<float, 2>({1, tokens});
    const auto share = 1.0f / static_cast<float>(tokens - layout_.prefix);
    std::ranges::fill(w.rows.row(0).subspan(ToSize(layout_.prefix)), share);
    if (normed_) {
      double sum = 0;
      for (Index q = layout_.prefix; q < tokens; ++q) {
        const double sigma = nn::MomentsOf(rows.last.row(q), tower_.norm_epsilon).sigma;
        sum += 1 / sigma;
        w.rows(0, q) = static_cast<float>(1 / sigma);
      }
      for (float& v : w.rows.flat()) v = static_cast<float>(v / sum);
      pooled.back() = static_cast<float>(static_cast<double>(tokens - layout_.prefix) / sum);
    }
    WeightedRows(w.rows, rows.last.flat(), pooled.data());
  }
  if (captures == nullptr) return;
  if (w.pool) {
    captures->scale.weight = w.pool->weight;
    captures->scale.weighted_mean = w.pool->weighted_mean;
    captures->scale.pool_scale = w.pool->scale;
    w.constants = attention_->Constants(*w.pool) / static_cast<double>(2 * tower_.layers + 1);
  }
  PoolHeads(rows, w, request, *captures);
  PoolParts(rows, w, request, *captures);
  PoolPatterns(rows, w, request, *captures, team);
  // Swapped, so that each keeps memory that fits its shape: both are used again.
  const auto pass_on = [&](auto Captures::*member, bool wanted) {
    if (wanted) {
      std::swap(captures->*member, rows.*member);
    } else {
      captures->*member = {};
    }
  };
  pass_on(&Captures::value, !request.value.empty());
  pass_on(&Captures::z_rows, !request.z_rows.empty());
  pass_on(&Captures::query_key, !request.query_key.empty());
  pass_on(&Captures::part_rows, !request.part_rows.empty());
  pass_on(&Captures::norm1, !request.norm1.empty());
  pass_on(&Captures::norm2, !request.norm2.empty());
  pass_on(&Captures::mlp_norm, !request.mlp_norm.empty());
  pass_on(&Captures::hidden, !request.hidden.empty());
  pass_on(&Captures::attention, !request.attention.empty());
  pass_on(&Captures::last, request.last);
}

namespace {

// The heads' blocks of rows [Q, H·K] one below the other, [H, Q, K].
Array<float, 3> ByHead(ArrayView<const float, 2> rows, Index heads) {
  const Index width = rows.dim(1) / heads;
  Array<float, 3> out({heads, rows.dim(0), width});
  for (Index h = 0; h < heads; ++h) {
    for (Index p = 0; p < rows.dim(0); ++p) {
      std::copy_n(rows.row(p).data() + h * width, width, out[h].row(p).data());
    }
  }
  return out;
}

// out [n, E] += each row's share of the constants, then all through the embedding's length.
void Finish(ArrayView<float, 2> out, const Vector& constant, double share, double norm) {
  for (Index i = 0; i < out.dim(0); ++i) {
    const std::span<float> row = out.row(i);
    for (std::size_t e = 0; e < row.size(); ++e) {
      row[e] = static_cast<float>((row[e] + share * constant[static_cast<Index>(e)]) / norm);
    }
  }
}

}  // namespace

void TokenPool::PutHeads(Index layer, ArrayView<const float, 3> z, const Weights& w, double share,
                         ArrayView<float, 2> out) const {
  if (!attention_) {
    std::ranges::copy(z.flat(), out.data());
    return;
  }
  const double of_each = share / static_cast<double>(tower_.heads);
  attention_->HeadSums(layer, z, *w.pool, of_each, out);
  Finish(out, w.constants, of_each, w.norm);
}

void TokenPool::PoolHeads(const Captures& rows, const Weights& w, const CaptureRequest& request,
                          Captures& captures) const {
  const LayerRange layers = request.z.Of(tower_.layers);
  if (layers.empty()) {
    captures.z = {};
    return;
  }
  Give(captures.z, layers, tower_.heads, attention_ ? embed_width_ : tower_.head_width());
  Array<float, 2> sums({w.count(), tower_.width});
  for (Index l = layers.begin; l < layers.end; ++l) {
    WeightedRows(w.rows, rows.z_rows[l].flat(), sums.data());
    PutHeads(l, ByHead(sums, tower_.heads), w, 1, captures.z[l]);
  }
}

void TokenPool::PoolParts(const Captures& rows, const Weights& w, const CaptureRequest& request,
                          Captures& captures) const {
  const LayerRange layers = request.parts.Of(tower_.layers);
  if (layers.empty()) {
    captures.parts = {};
    return;
  }
  // Row 0 is INPUT; the rows were kept from this layer on, perhaps an earlier one.
  const Index first = layers.begin - Needs(request).part_rows.Of(tower_.layers).begin;
  const Index count = layers.size() + 1;
  Array<float, 3> sums({count, w.count(), tower_.width});
  for (Index j = 0; j < count; ++j) {
    WeightedRows(w.rows, rows.part_rows.row(j == 0 ? 0 : j + first), sums.row(j).data());
  }
  if (!attention_) {
    captures.parts = Array<float, 2>({count, tower_.width});
    std::ranges::copy(sums.flat(), captures.parts.data());
    return;
  }
  const bool mlp = attention_->has_mlp();
  captures.parts = Array<float, 2>({count + (mlp ? 1 : 0), embed_width_});
  const ArrayView<float, 2> linear = captures.parts.rows(0, count);
  attention_->PartSums(sums, linear);
  Finish(linear, w.constants, 1, w.norm);
  if (!mlp) return;
  std::ranges::transform(w.pool->mlp, captures.parts.row(count).begin(),
                         [&](double v) { return static_cast<float>(v / w.norm); });
}

void TokenPool::PoolPatterns(const Captures& rows, const Weights& w, const CaptureRequest& request,
                             Captures& captures, Team& team) const {
  const LayerRange wanted = request.pattern.Of(tower_.layers);
  const LayerRange self = request.z_self.Of(tower_.layers);
  const Index tokens = rows.last.dim(0);
  const Index count = w.count();
  const Index heads = tower_.heads;
  const Index head_width = tower_.head_width();
  captures.pattern = {};
  captures.z_self = {};
  if (!wanted.empty()) Give(captures.pattern, wanted, heads * count, tokens);
  const bool has_class = layout_.has_class();
  if (has_class && !self.empty()) {
    Give(captures.z_self, self, heads, attention_ ? embed_width_ : head_width);
  }
  const LayerRange layers = Both(wanted, has_class ? self : LayerRange{});
  const auto scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  Array<float, 3> pattern({heads, count, tokens});
  for (Index l = layers.begin; l < layers.end; ++l) {
    const ArrayView<const float, 2> query_key = rows.query_key[l];
    team.Run(heads, [&](Index h) {
      const float* query = query_key.data() + h * head_width;
      nn::PoolAttention({.tokens = tokens,
                         .head_width = head_width,
                         .q = query,
                         .k = query + tower_.width,
                         .stride = 2 * tower_.width,
                         .scale = scale,
                         .pools = count,
                         .weights = w.rows.data(),
                         .out = pattern.row(h).data()});
    });
    if (wanted.contains(l)) {
      std::ranges::copy(pattern.flat(), captures.pattern[l].data());
    }
    if (!has_class || !self.contains(l)) continue;
    // What the class token gives: its value, weighted.
    const std::span<const float> value = rows.value[l].row(0);
    Array<float, 3> own({heads, count, head_width});
    for (Index h = 0; h < heads; ++h) {
      for (Index p = 0; p < count; ++p) {
        std::transform(value.begin() + h * head_width, value.begin() + (h + 1) * head_width,
                       own[h].row(p).begin(), [&](float v) { return pattern(h, p, 0) * v; });
      }
    }
    PutHeads(l, own, w, 1.0 / static_cast<double>(tokens), captures.z_self[l]);
  }
}

}  // namespace cliplens
