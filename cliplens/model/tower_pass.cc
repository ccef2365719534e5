#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/model/nn/attention.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/rotary.h"
#include "cliplens/model/tower.h"

namespace cliplens {
namespace {

// Makes room for one layer range, or none.
void Resize(PerLayer<3>& values, LayerRange layers, Index rows, Index columns) {
  values.layers = layers;
  const Shape<3> shape = {layers.size(), rows, columns};
  if (layers.empty()) {
    values.values = {};
  } else if (values.values.shape() != shape) {
    values.values = Array<float, 3>(shape);
  }
}

template <std::size_t R>
void Resize(Array<float, R>& values, bool wanted, const Shape<R>& shape) {
  if (!wanted) {
    values = {};
  } else if (values.shape() != shape) {
    values = Array<float, R>(shape);
  }
}

// The layers of a request that the tower has.
CaptureRequest WithinLayers(CaptureRequest request, Index layers) {
  for (LayerRange* range :
       {&request.z, &request.z_self, &request.parts, &request.pattern, &request.sub_norm,
        &request.value, &request.z_rows, &request.query_key, &request.part_rows, &request.norm1,
        &request.norm2, &request.mlp_norm, &request.hidden, &request.attention}) {
    *range = range->Of(layers);
  }
  return request;
}

// Room for what a request names, and for nothing else.
void Prepare(Captures& c, const CaptureRequest& request, const TowerConfig& config, Index tokens) {
  Resize(c.z, request.z, config.heads, config.output_width());
  Resize(c.z_self, request.z_self, config.heads, config.output_width());
  Resize<2>(c.parts, !request.parts.empty(), {request.parts.size() + 1, config.width});
  Resize(c.pattern, request.pattern, config.heads, tokens);
  const bool moments = config.sub_norm || config.post_norm;
  Resize(c.sub_norm, moments ? request.sub_norm : LayerRange{}, 1, 2);
  Resize(c.value, request.value, tokens, config.heads * config.output_width());
  Resize(c.z_rows, request.z_rows, tokens, config.width);
  Resize(c.query_key, request.query_key, tokens, 2 * config.width);
  Resize<3>(c.part_rows, !request.part_rows.empty(),
            {request.part_rows.size() + 1, tokens, config.width});
  const bool in_front = !config.post_norm;
  Resize(c.norm1, in_front ? request.norm1 : LayerRange{}, tokens, 2);
  Resize(c.norm2, in_front ? request.norm2 : LayerRange{}, tokens, 2);
  Resize(c.mlp_norm, in_front ? LayerRange{} : request.mlp_norm, tokens, 2);
  Resize(c.hidden, request.hidden, tokens, config.mlp_width);
  Resize(c.attention, request.attention, tokens, tokens);
  Resize<2>(c.last, request.last, {tokens, config.width});
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

nn::Epilogue EpilogueOf(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return nn::Epilogue::kGelu;
    case Activation::kQuickGelu:
      return nn::Epilogue::kQuickGelu;
    case Activation::kGeluTanh:
      break;
  }
  return nn::Epilogue::kGeluTanh;
}

void StoreRow(std::span<const float> from, float* to) { std::ranges::copy(from, to); }
void StoreRow(std::span<const float> from, nn::BFloat16* to) {
  std::ranges::transform(from, to, nn::ToBFloat16);
}

// Rows are given to the team in pieces of this many, and passes are filled up to a multiple.
constexpr Index kRowPiece = Tower::kSpareRows;

}  // namespace

// One pass over items whose rows stand one below the other. T is the type that products read.
template <typename T>
class Tower::Pass {
 public:
  Pass(const Tower& tower, std::span<const ItemRows> items, float* x, Workspace& workspace,
       const CaptureRequest& request, std::span<Captures> captures)
      : tower_(tower),
        config_(tower.config_),
        packed_(tower.packed()),
        items_(items),
        request_(WithinLayers(request, config_.layers)),
        captures_(captures),
        w_(workspace),
        count_(static_cast<Index>(items.size())),
        x_(x) {
    for (const ItemRows& item : items) {
      begins_.push_back(tokens_);
      tokens_ += item.tokens;
      longest_ = std::max(longest_, item.tokens);
    }
    if (config_.post_norm && !request_.z_rows.empty()) {
      throw Error(
          ErrorCode::kUnsupported,
          "captures: heads' outputs at every token of a tower whose LayerNorms stand behind "
          "attention; z has those of the pooled row");
    }
    all_rows_ = !captures.empty() && request_.NeedsAllRows(config_.layers);
    // Few numbers of rows, so that few products are compiled: the rows that fill up are zeros.
    rows_ = packed_.independent ? (tokens_ + kRowPiece - 1) / kRowPiece * kRowPiece : tokens_;
    scratch_ = GrowScratch<T>(w_, rows_, config_.width, config_.mlp_width);
    qkv_ = w_.qkv.Grow(rows_ * 3 * config_.width);
    before_ = w_.before.Grow(count_ * config_.width);
    const bool needs_alpha = !request_.z_self.empty() || !request_.pattern.empty();
    if (!captures.empty() && needs_alpha) {
      alpha_ = w_.alpha.Grow(count_ * config_.heads * longest_);
    }
    if (rows_ > tokens_) {
      std::fill(x_ + tokens_ * config_.width, x_ + rows_ * config_.width, 0.0f);
      std::fill(scratch_.attended + tokens_ * config_.width,
                scratch_.attended + rows_ * config_.width, T{});
    }
  }

  // `pooled` [g, D].
  void Run(ArrayView<float, 2> pooled) {
    for (Index g = 0; g < Index(captures_.size()); ++g) {
      Captures& c = At(captures_, g);
      Prepare(c, request_, config_, At(items_, g).tokens);
      if (!c.parts.empty()) {
        std::copy_n(x_ + PooledRow(g) * config_.width, config_.width, c.parts.row(0).data());
      }
      if (!c.part_rows.empty()) {
        std::ranges::copy(RowsOf(g), c.part_rows.row(0).begin());
      }
    }
    for (Index l = 0; l < config_.layers; ++l) RunLayer(l);
    for (Index g = 0; g < count_; ++g) {
      std::copy_n(x_ + RowOf(g) * config_.width, config_.width, pooled.row(g).data());
      if (captures_.empty() || At(captures_, g).last.empty()) continue;
      std::ranges::copy(RowsOf(g), At(captures_, g).last.data());
    }
  }

 private:
  // Where queries, keys and values lie; a value stands `width` behind its key.
  struct QueryKey {
    const float* query;
    Index query_stride;
    const float* key;
    Index key_stride;
  };

  Index PooledRow(Index g) const { return At(begins_, g) + At(items_, g).pooled; }
  // Where the pooled row of an item stands in what is left of x.
  Index RowOf(Index g) const { return pooled_only_ ? g : PooledRow(g); }
  Index left() const { return pooled_only_ ? count_ : rows_; }
  // An item's rows of x [N, D], while it has them all.
  std::span<const float> RowsOf(Index g) const {
    return {x_ + At(begins_, g) * config_.width, ToSize(At(items_, g).tokens * config_.width)};
  }
  // Of the attention's scores.
  float Scale() const { return 1.0f / std::sqrt(static_cast<float>(config_.head_width())); }

  void RunLayer(Index l) {
    const Packed::Layer& layer = At(packed_.layers, l);
    const Block& block = At(tower_.blocks_, l);
    if (config_.post_norm) {
      StoreRow({x_, ToSize(rows_ * config_.width)}, scratch_.normed);
    } else {
      Normalize(x_, rows_, block.ln1_gain, block.ln1_bias, scratch_.normed);
      if (request_.norm1.contains(l)) CaptureNorms(l, x_, &Captures::norm1);
    }
    const QueryKey at = l + 1 < config_.layers ? ProjectAll(layer) : ProjectLast(layer);
    Attend(at);
    if (config_.post_norm) {
      CaptureAttention(l, at,
                       AddNormed(layer.out, scratch_.attended, block.ln1_gain, block.ln1_bias));
      StoreRow({x_, ToSize(left() * config_.width)}, scratch_.normed);
      RunMlp(l, layer);
      return;
    }
    const std::vector<nn::RowMoments> sub_norms = NormalizeHeads(block);
    CaptureAttention(l, at, sub_norms);
    AddProjected(layer.out, scratch_.attended);
    if (request_.norm2.contains(l)) CaptureNorms(l, x_, &Captures::norm2);
    if (config_.gated_mlp == GatedMlp::kGeGlu) {
      float* plain = w_.plain.Grow(left() * config_.width);
      Normalize(x_, left(), block.ln2_gain, block.ln2_bias, plain);
      Normalize(plain, left(), block.mlp_gain, block.mlp_bias, scratch_.normed);
    } else {
      Normalize(x_, left(), block.ln2_gain, block.ln2_bias, scratch_.normed);
    }
    RunMlp(l, layer);
  }

  template <typename Y>
  void Normalize(const float* from, Index n, const float* gain, const float* bias, Y* to) {
    const Index width = config_.width;
    const Index pieces = w_.team.threads() == 1 ? 1 : (n + kRowPiece - 1) / kRowPiece;
    const Index piece = w_.team.threads() == 1 ? n : kRowPiece;
    w_.team.Run(pieces, [&](Index i) {
      const Index first = i * piece;
      nn::LayerNorm({.rows = std::min(piece, n - first),
                     .width = width,
                     .x = from + first * width,
                     .gain = gain,
                     .bias = bias,
                     .epsilon = static_cast<float>(config_.norm_epsilon),
                     .y = to + first * width});
    });
  }

  // y [rows, out] = weights · x, y's rows one after the other.
  void Project(const nn::Weights& weights, Index rows, const T* x, float* y) {
    nn::Linear(
        weights,
        nn::LinearArgs<T, float>{
            .rows = rows, .x = x, .x_stride = weights.in(), .y = y, .y_stride = weights.out()},
        w_.team);
  }

  // x += weights · from, for the rows that are left.
  void AddProjected(const nn::Weights& weights, const T* from) {
    nn::Linear(weights,
               nn::LinearArgs<T, float>{.rows = left(),
                                        .x = from,
                                        .x_stride = weights.in(),
                                        .y = x_,
                                        .y_stride = weights.out(),
                                        .accumulate = true},
               w_.team);
  }

  // x += LayerNorm(weights · from), for the rows that are left. `capture` sees the LayerNorm's
  // input, if it is there. Returns its moments of each item's pooled row.
  std::vector<nn::RowMoments> AddNormed(const nn::Weights& weights, const T* from,
                                        const float* gain, const float* bias,
                                        const std::function<void(const float*)>& capture = {}) {
    const Index width = config_.width;
    float* added = w_.plain.Grow(left() * width);
    Project(weights, left(), from, added);
    if (capture) capture(added);
    std::vector<nn::RowMoments> moments = PooledMoments(added);
    Normalize(added, left(), gain, bias, added);
    std::transform(x_, x_ + left() * width, added, x_, std::plus<>());
    return moments;
  }

  // Of rows that stand as those of x do.
  std::vector<nn::RowMoments> PooledMoments(const float* rows) const {
    const Index width = config_.width;
    std::vector<nn::RowMoments> moments;
    moments.reserve(ToSize(count_));
    for (Index g = 0; g < count_; ++g) {
      moments.push_back(
          nn::MomentsOf({rows + RowOf(g) * width, ToSize(width)}, config_.norm_epsilon));
    }
    return moments;
  }

  QueryKey ProjectAll(const Packed::Layer& layer) {
    const Index width = config_.width;
    Project(layer.qkv, rows_, scratch_.normed, qkv_);
    TurnRows(qkv_, 3 * width);
    TurnRows(qkv_ + width, 3 * width);
    return {qkv_, 3 * width, qkv_ + width, 3 * width};
  }

  // Rotary positions on the rows of all items, queries or keys.
  void TurnRows(float* x, Index stride) {
    if (tower_.rotary_.empty()) return;
    w_.team.Run(count_, [&](Index g) {
      Rotate(tower_.rotary_, tower_.in_front_,
             {.rows = At(items_, g).tokens,
              .heads = config_.heads,
              .stride = stride,
              .x = x + At(begins_, g) * stride});
    });
  }

  // The LayerNorm over the heads' outputs, if there is one. Returns the moments of each item's
  // pooled row.
  std::vector<nn::RowMoments> NormalizeHeads(const Block& block) {
    if (block.sub_gain == nullptr) return {};
    const Index width = config_.width;
    float* plain = w_.plain.Grow(left() * width);
    std::transform(scratch_.attended, scratch_.attended + left() * width, plain,
                   [](T v) { return AsFloat(v); });
    std::vector<nn::RowMoments> moments = PooledMoments(plain);
    nn::LayerNorm({.rows = left(),
                   .width = width,
                   .x = plain,
                   .gain = block.sub_gain,
                   .bias = block.sub_bias,
                   .epsilon = static_cast<float>(config_.norm_epsilon),
                   .y = scratch_.attended});
    return moments;
  }

  // After its keys and values the last block is needed for the pooled rows alone, unless all are
  // asked for. From here on x has one row an item then, packed to the front.
  QueryKey ProjectLast(const Packed::Layer& layer) {
    const Index width = config_.width;
    Project(layer.key_value, rows_, scratch_.normed, qkv_);
    TurnRows(qkv_, 2 * width);
    pooled_only_ = !all_rows_;
    if (pooled_only_) {
      float* pooled = w_.pooled.Grow(count_ * width);
      for (Index g = 0; g < count_; ++g) {
        std::copy_n(x_ + PooledRow(g) * width, width, pooled + g * width);
        std::copy_n(scratch_.normed + PooledRow(g) * width, width, scratch_.attended + g * width);
      }
      x_ = pooled;
    }
    float* query = w_.query.Grow(left() * width);
    Project(layer.query, left(), pooled_only_ ? scratch_.attended : scratch_.normed, query);
    if (!pooled_only_) TurnRows(query, width);  // else the class token's alone, which stays
    return {query, width, qkv_, 2 * width};
  }

  void Attend(const QueryKey& at) {
    const Index head_width = config_.head_width();
    w_.team.Run(count_ * config_.heads, [&](Index task) {
      const Index g = task / config_.heads;
      const Index h = task % config_.heads;
      const ItemRows& item = At(items_, g);
      const Index begin = At(begins_, g);
      const Index first = pooled_only_ ? g : begin;
      const float* key = at.key + begin * at.key_stride + h * head_width;
      nn::Attention(
          nn::AttentionArgs<T>{.first = pooled_only_ ? item.pooled : 0,
                               .rows = pooled_only_ ? 1 : item.tokens,
                               .tokens = item.tokens,
                               .head_width = head_width,
                               .q = at.query + first * at.query_stride + h * head_width,
                               .k = key,
                               .v = key + config_.width,
                               .q_stride = at.query_stride,
                               .kv_stride = at.key_stride,
                               .scale = Scale(),
                               .causal = tower_.causal_,
                               .hidden = item.hidden,
                               .out = scratch_.attended + first * config_.width + h * head_width,
                               .out_stride = config_.width,
                               .alpha = alpha_ == nullptr ? nullptr : alpha_ + task * longest_,
                               .alpha_query = item.pooled});
    });
  }

  // Divides a head's output by the σ of the LayerNorm behind the attention; 1/σ stands behind it.
  static void DivideBySigma(const nn::RowMoments& norm, std::span<float> output) {
    for (float& v : output.first(output.size() - 1)) v = static_cast<float>(v / norm.sigma);
    output.back() = static_cast<float>(1.0 / norm.sigma);
  }

  // A head's value, of the heads' values `from`, as its output takes it. Attention sums to 1, so
  // what a LayerNorm over or behind the heads' outputs does to the pooled row it does to a value.
  void CopyValue(const float* from, Index h, Index l, const nn::RowMoments* norm,
                 std::span<float> to) const {
    const Index first = h * config_.head_width();
    std::copy_n(from + first, config_.head_width(), to.begin());
    if (norm == nullptr) return;
    if (config_.post_norm) return DivideBySigma(*norm, to);
    const Block& block = At(tower_.blocks_, l);
    for (std::size_t i = 0; i < to.size(); ++i) {
      const std::size_t d = ToSize(first) + i;
      to[i] = static_cast<float>((double{to[i]} - norm->mean) / norm->sigma *
                                     double{block.sub_gain[d]} +
                                 double{block.sub_bias[d]});
    }
  }

  void CaptureAttention(Index l, const QueryKey& at, std::span<const nn::RowMoments> sub_norms) {
    const Index width = config_.width;
    const Index head_width = config_.head_width();
    for (Index g = 0; g < Index(captures_.size()); ++g) {
      Captures& c = At(captures_, g);
      const ItemRows& item = At(items_, g);
      const Index begin = At(begins_, g);
      const float* value = at.key + begin * at.key_stride + width;
      const nn::RowMoments* norm = sub_norms.empty() ? nullptr : &At(sub_norms, g);
      const auto copy = [](const T* from, Index n, float* to) {
        std::transform(from, from + n, to, [](T v) { return AsFloat(v); });
      };
      if (norm != nullptr && request_.sub_norm.contains(l)) {
        c.sub_norm[l](0, 0) = static_cast<float>(norm->mean);
        c.sub_norm[l](0, 1) = static_cast<float>(norm->sigma);
      }
      for (Index h = 0; request_.z.contains(l) && h < config_.heads; ++h) {
        const std::span<float> z = c.z[l].row(h);
        copy(scratch_.attended + RowOf(g) * width + h * head_width, head_width, z.data());
        if (config_.post_norm) DivideBySigma(*norm, z);
      }
      if (request_.z_rows.contains(l)) {
        copy(scratch_.attended + begin * width, item.tokens * width, c.z_rows[l].data());
      }
      for (Index h = 0; alpha_ != nullptr && h < config_.heads; ++h) {
        const float* weights = alpha_ + (g * config_.heads + h) * longest_;
        if (request_.z_self.contains(l)) {
          const std::span<float> own = c.z_self[l].row(h);
          CopyValue(value + item.pooled * at.key_stride, h, l, norm, own);
          for (float& v : own) v *= weights[item.pooled];
        }
        if (request_.pattern.contains(l)) {
          std::copy_n(weights, item.tokens, c.pattern[l].row(h).data());
        }
      }
      for (Index t = 0; request_.query_key.contains(l) && t < item.tokens; ++t) {
        float* to = c.query_key[l].row(t).data();
        std::copy_n(at.query + (begin + t) * at.query_stride, width, to);
        std::copy_n(at.key + (begin + t) * at.key_stride, width, to + width);
      }
      for (Index t = 0; request_.value.contains(l) && t < item.tokens; ++t) {
        const std::span<float> row = c.value[l].row(t);
        const std::size_t output_width = row.size() / ToSize(config_.heads);
        for (Index h = 0; h < config_.heads; ++h) {
          CopyValue(value + t * at.key_stride, h, l, norm,
                    row.subspan(ToSize(h) * output_width, output_width));
        }
      }
      if (request_.attention.contains(l)) CaptureEveryQuery(g, at, c.attention[l]);
    }
  }

  // The attention of every query, the mean over the heads, into `mean` [N, N].
  void CaptureEveryQuery(Index g, const QueryKey& at, ArrayView<float, 2> mean) {
    const ItemRows& item = At(items_, g);
    const Index head_width = config_.head_width();
    const auto share = 1.0f / static_cast<float>(config_.heads);
    const float* query = at.query + At(begins_, g) * at.query_stride;
    const float* key = at.key + At(begins_, g) * at.key_stride;
    w_.team.Run(item.tokens, [&](Index i) {
      std::vector<float> alpha(ToSize(item.tokens));
      std::vector<float> unused(ToSize(head_width));
      std::ranges::fill(mean.row(i), 0.0f);
      for (Index h = 0; h < config_.heads; ++h) {
        std::ranges::fill(alpha, 0.0f);
        nn::Attention(nn::AttentionArgs<float>{.first = i,
                                               .rows = 1,
                                               .tokens = item.tokens,
                                               .head_width = head_width,
                                               .q = query + i * at.query_stride + h * head_width,
                                               .k = key + h * head_width,
                                               .v = key + config_.width + h * head_width,
                                               .q_stride = at.query_stride,
                                               .kv_stride = at.key_stride,
                                               .scale = Scale(),
                                               .causal = tower_.causal_,
                                               .hidden = item.hidden,
                                               .out = unused.data(),
                                               .out_stride = head_width,
                                               .alpha = alpha.data(),
                                               .alpha_query = i});
        std::ranges::transform(mean.row(i), alpha, mean.row(i).begin(),
                               [&](float sum, float a) { return sum + share * a; });
      }
    });
  }

  // μ and σ of every row; `rows` are as many as those of x.
  void CaptureNorms(Index l, const float* rows, PerLayer<3> Captures::*into) {
    for (Index g = 0; g < Index(captures_.size()); ++g) {
      const auto norms = (At(captures_, g).*into)[l];
      w_.team.Run(At(items_, g).tokens, [&](Index i) {
        const float* row = rows + (At(begins_, g) + i) * config_.width;
        const nn::RowMoments moments =
            nn::MomentsOf({row, ToSize(config_.width)}, config_.norm_epsilon);
        norms(i, 0) = static_cast<float>(moments.mean);
        norms(i, 1) = static_cast<float>(moments.sigma);
      });
    }
  }

  // The hidden layer of a gated MLP.
  void GateHidden(const Packed::Layer& layer, const Block& block) {
    const Index mlp_width = config_.mlp_width;
    float* plain = w_.plain.Grow(left() * 2 * mlp_width);
    Project(layer.mlp_in, left(), scratch_.normed, plain);
    w_.team.Run((left() + kRowPiece - 1) / kRowPiece, [&](Index piece) {
      const Index first = piece * kRowPiece;
      const Index rows = std::min(kRowPiece, left() - first);
      std::vector<float> gated(ToSize(rows * mlp_width));
      const bool gelu = config_.gated_mlp == GatedMlp::kGeGlu;
      for (Index i = 0; i < rows; ++i) {
        float* gate = plain + (first + i) * 2 * mlp_width;
        const float* value = gate + mlp_width;
        if (gelu) nn::Gelu(mlp_width, gate);
        for (Index k = 0; k < mlp_width; ++k) {
          const float open = gelu ? gate[k] : gate[k] / (1.0f + std::exp(-gate[k]));
          At(gated, i * mlp_width + k) = open * value[k];
        }
      }
      if (gelu) return StoreRow(gated, scratch_.hidden + first * mlp_width);
      nn::LayerNorm({.rows = rows,
                     .width = mlp_width,
                     .x = gated.data(),
                     .gain = block.mlp_gain,
                     .bias = block.mlp_bias,
                     .epsilon = static_cast<float>(config_.norm_epsilon),
                     .y = scratch_.hidden + first * mlp_width});
    });
  }

  std::span<float> PartRows(Index g, Index l) {
    return At(captures_, g).part_rows.row(l - request_.part_rows.begin + 1);
  }

  // The MLP's output is taken as the difference of the pooled row before and after. It is the part
  // of the final residual to the last bit and needs no second product.
  void RunMlp(Index l, const Packed::Layer& layer) {
    const Index width = config_.width;
    const Index mlp_width = config_.mlp_width;
    if (config_.gated_mlp != GatedMlp::kNone) {
      GateHidden(layer, At(tower_.blocks_, l));
    } else {
      nn::Linear(layer.mlp_in,
                 nn::LinearArgs<T, T>{.rows = left(),
                                      .x = scratch_.normed,
                                      .x_stride = width,
                                      .y = scratch_.hidden,
                                      .y_stride = mlp_width,
                                      .epilogue = EpilogueOf(config_.activation)},
                 w_.team);
    }
    const bool parts = request_.parts.contains(l);
    const bool part_rows = request_.part_rows.contains(l);
    for (Index g = 0; g < Index(captures_.size()); ++g) {
      if (request_.hidden.contains(l)) {
        const T* from = scratch_.hidden + At(begins_, g) * mlp_width;
        std::transform(from, from + At(items_, g).tokens * mlp_width,
                       At(captures_, g).hidden[l].data(), [](T v) { return AsFloat(v); });
      }
      if (parts) std::copy_n(x_ + RowOf(g) * width, width, before_ + g * width);
      if (part_rows) {
        std::ranges::copy(RowsOf(g), PartRows(g, l).begin());
      }
    }
    if (config_.post_norm) {
      const Block& block = At(tower_.blocks_, l);
      AddNormed(layer.mlp_out, scratch_.hidden, block.ln2_gain, block.ln2_bias,
                [&](const float* rows) {
                  if (request_.mlp_norm.contains(l)) CaptureNorms(l, rows, &Captures::mlp_norm);
                });
    } else {
      AddProjected(layer.mlp_out, scratch_.hidden);
    }
    for (Index g = 0; part_rows && g < Index(captures_.size()); ++g) {
      std::ranges::transform(RowsOf(g), PartRows(g, l), PartRows(g, l).begin(), std::minus<>());
    }
    for (Index g = 0; parts && g < Index(captures_.size()); ++g) {
      const float* after = x_ + RowOf(g) * width;
      std::transform(after, after + width, before_ + g * width,
                     At(captures_, g).parts.row(l - request_.parts.begin + 1).data(),
                     std::minus<>());
    }
  }

  const Tower& tower_;
  const TowerConfig& config_;
  const Packed& packed_;
  std::span<const ItemRows> items_;
  CaptureRequest request_;
  std::span<Captures> captures_;
  Workspace& w_;
  Index count_;
  float* x_;                   // the residual stream [rows, D]
  std::vector<Index> begins_;  // first row of each item
  Index tokens_ = 0, rows_ = 0, longest_ = 0;
  bool all_rows_ = false;     // the last block is computed for all tokens
  bool pooled_only_ = false;  // x has one row an item by now
  Scratch<T> scratch_ = {};
  float* qkv_ = nullptr;
  float* before_ = nullptr;
  float* alpha_ = nullptr;  // [g, H, longest]: the pooled row of the pattern, where it is kept
};

void Tower::Run(std::span<const ItemRows> items, const CaptureRequest& request,
                const EncodeOutput& output, Workspace& w) const {
  const auto count = static_cast<Index>(items.size());
  const Index a_pass = packed().independent ? count : 1;
  float* x = w.x.data();
  for (Index g = 0; g < count; g += a_pass) {
    const auto some = items.subspan(ToSize(g), ToSize(a_pass));
    const std::span<Captures> captures = output.captures.empty()
                                             ? output.captures
                                             : output.captures.subspan(ToSize(g), ToSize(a_pass));
    const ArrayView<float, 2> pooled = output.pooled.rows(g, g + a_pass);
    if (precision_ == Precision::kBF16) {
      Pass<nn::BFloat16>(*this, some, x, w, request, captures).Run(pooled);
    } else {
      Pass<float>(*this, some, x, w, request, captures).Run(pooled);
    }
    x += some.front().tokens * config_.width;
  }
}

}  // namespace cliplens
