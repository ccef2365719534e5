#include "cliplens/analysis/token_scores.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

const char* PrefixOf(TowerSide side) { return side == TowerSide::kVision ? "vision" : "text"; }

const TowerConfig& ConfigOf(const ClipModel& model, TowerSide side) {
  return side == TowerSide::kVision ? model.config().vision : model.config().text;
}

// The tensors behind the last block, and each block's output matrix.
struct OutputWeights {
  OutputWeights(const ClipModel& model, TowerSide side)
      : tensors(model.tensors()),
        prefix(PrefixOf(side)),
        width(ConfigOf(model, side).width),
        gain(Of(".ln_post.gain")),
        bias(Of(".ln_post.bias")),
        projection({Of(".projection"), {width, model.config().embed_width}}) {}

  const float* Of(const std::string& name) const { return tensors.at(prefix + name).values.data(); }
  // [D, H·K] as PyTorch's Linear, and [D].
  const float* Out(Index layer) const {
    return Of(fmt::format(".block.{}.attn.out.weight", layer));
  }
  const float* OutBias(Index layer) const {
    return Of(fmt::format(".block.{}.attn.out.bias", layer));
  }

  const TensorMap& tensors;
  std::string prefix;
  Index width;
  const float* gain;
  const float* bias;
  ArrayView<const float, 2> projection;
};

Vector ToVector(const float* values, Index n) {
  return Eigen::Map<const Eigen::VectorXf>(values, n).cast<double>();
}

void CheckActivations(const Activations& a, Index layers, Index heads, Index head_width) {
  const Index width = heads * head_width;
  if (a.pattern.empty() || a.value.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores of tokens: the forward pass kept no tokens; set Activations::tokens "
                "before it");
  }
  const Index tokens = a.pattern.dim(2);
  if (a.pattern.shape() != Shape<3>{layers, heads, tokens} ||
      a.value.shape() != Shape<3>{layers, tokens, width} ||
      a.z.shape() != Shape<3>{layers, heads, head_width} || a.mlp.dim(0) != layers + 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores of tokens: a pass of {} layers and {} heads, weights of {} and {}; both "
                "must be of one model and tower",
                a.pattern.dim(0), a.pattern.dim(1), layers, heads);
  }
}

// [rows, n] of a view that lies in a matrix with `stride` between rows.
nn::Operand<float> Block(const float* data, Index rows, Index columns, Index stride) {
  return {data, rows, columns, stride, 1};
}

std::vector<HeadId> ChosenHeads(std::span<const HeadId> heads, Index layers, Index num_heads) {
  std::vector<HeadId> chosen(heads.begin(), heads.end());
  if (chosen.empty()) {
    for (Index l = 0; l < layers; ++l) {
      for (Index h = 0; h < num_heads; ++h) {
        chosen.push_back({static_cast<int>(l), static_cast<int>(h)});
      }
    }
  }
  for (const HeadId id : chosen) {
    if (id.layer < 0 || id.layer >= layers || id.head < 0 || id.head >= num_heads) {
      throw Error(ErrorCode::kInvalidArgument,
                  "scores of tokens: head {} of a model with {} layers of {} heads", HeadName(id),
                  layers, num_heads);
    }
  }
  std::ranges::sort(chosen);
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

}  // namespace

TokenWeights::TokenWeights(const ClipModel& model, TowerSide side,
                           ArrayView<const float, 2> directions, int threads)
    : directions_(directions.dim(0)),
      layers_(ConfigOf(model, side).layers),
      heads_(ConfigOf(model, side).heads),
      head_width_(ConfigOf(model, side).head_width()) {
  const Index embed_width = model.config().embed_width;
  if (directions.dim(1) != embed_width || directions_ == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores of tokens: directions of shape [{}, {}] for an embedding of {}",
                directions.dim(0), directions.dim(1), embed_width);
  }
  const OutputWeights weights(model, side);
  const Matrix projected = nn::Product(nn::Of(directions), nn::Of(weights.projection).Transposed());
  const Vector gain = ToVector(weights.gain, weights.width);
  residual_ = projected * gain.asDiagonal();
  gain_ = nn::Product(nn::Of(residual_), nn::Of(Matrix(Matrix::Ones(weights.width, 1))));
  bias_ = nn::Product(nn::Of(projected),
                      Block(weights.bias, 1, weights.width, weights.width).Transposed());
  heads_of_.resize(ToSize(layers_));
  out_bias_.resize(ToSize(layers_));
  ParallelFor(threads, layers_, [&](Index l, int) {
    const auto at = ToSize(l);
    heads_of_[at] = nn::Product(nn::Of(residual_),
                                Block(weights.Out(l), weights.width, weights.width, weights.width));
    out_bias_[at] = nn::Product(
        nn::Of(residual_), Block(weights.OutBias(l), 1, weights.width, weights.width).Transposed());
  });
}

// Works on the rows of the directions that are asked for.
struct TokenScorer {
  const TokenWeights& weights;
  const Activations& a;
  const TokenScoresOptions& options;
  std::vector<Index> rows = {};  // directions asked for

  Index M() const { return static_cast<Index>(rows.size()); }
  double J() const { return static_cast<double>(2 * weights.layers_ + 1); }
  double H() const { return static_cast<double>(weights.heads_); }

  // W^h t of the rows asked for, [M, K]; copied only where they are not all.
  nn::Operand<double> OfHead(Index l, Index h, Matrix& copy) const {
    const Matrix& all = At(weights.heads_of_, l);
    const Index first = h * weights.head_width_;
    if (options.directions.empty()) {
      return {all.data() + first, M(), weights.head_width_, all.cols(), 1};
    }
    copy.resize(M(), weights.head_width_);
    for (Index m = 0; m < M(); ++m) {
      copy.row(m) = all.row(At(rows, m)).segment(first, weights.head_width_);
    }
    return nn::Of(copy);
  }

  // A head's constants for one direction, before they are shared over its tokens.
  double Constant(Index l, Index row) const {
    return (At(weights.out_bias_, l)[row] +
            (a.sigma * weights.bias_[row] - a.mean * weights.gain_[row]) / J()) /
           H();
  }

  double Scale() const { return 1.0 / (a.sigma * a.norm); }

  // Adds what each token brings through the head to `out` [M, N].
  void AddTokens(HeadId id, ArrayView<double, 2> out) const {
    const Index tokens = out.dim(1);
    Matrix copy;
    const ArrayView<const float, 2> value = a.value.view()[id.layer];
    const Matrix product = nn::Product(OfHead(id.layer, id.head, copy),
                                       Block(value.data() + id.head * weights.head_width_, tokens,
                                             weights.head_width_, value.dim(1))
                                           .Transposed());
    const std::span<const float> alpha = a.pattern.view()[id.layer].row(id.head);
    for (Index m = 0; m < M(); ++m) {
      const double share = Constant(id.layer, At(rows, m)) / static_cast<double>(tokens);
      const std::span<double> to = out.row(m);
      for (std::size_t i = 0; i < to.size(); ++i) {
        to[i] += (alpha[i] * product(m, static_cast<Index>(i)) + share) * Scale();
      }
    }
  }

  void FillHead(HeadId id, std::span<double> out) const {
    Matrix copy;
    const Matrix product = nn::Product(
        OfHead(id.layer, id.head, copy),
        Block(a.z.view()[id.layer].row(id.head).data(), 1, weights.head_width_, weights.head_width_)
            .Transposed());
    for (Index m = 0; m < M(); ++m) {
      At(out, m) = (product(m, 0) + Constant(id.layer, At(rows, m))) * Scale();
    }
  }

  void FillMlps(ArrayView<double, 2> out) const {
    const Matrix product =
        nn::Product(nn::Of(a.mlp.view()), nn::Of(weights.residual_).Transposed());
    for (Index j = 0; j < out.dim(0); ++j) {
      for (Index m = 0; m < M(); ++m) {
        const Index row = At(rows, m);
        out(j, m) =
            (product(j, row) + (a.sigma * weights.bias_[row] - a.mean * weights.gain_[row]) / J()) *
            Scale();
      }
    }
  }
};

TokenScores ScoreTokens(const TokenWeights& weights, const Activations& activations,
                        const TokenScoresOptions& options, int threads) {
  CheckActivations(activations, weights.layers(), weights.heads(), weights.head_width());
  TokenScorer scorer{weights, activations, options};
  scorer.rows.assign(options.directions.begin(), options.directions.end());
  if (scorer.rows.empty()) {
    scorer.rows.resize(ToSize(weights.directions()));
    std::iota(scorer.rows.begin(), scorer.rows.end(), Index{0});
  }
  for (const Index row : scorer.rows) {
    if (row < 0 || row >= weights.directions()) {
      throw Error(ErrorCode::kInvalidArgument, "scores of tokens: direction {} of {}", row,
                  weights.directions());
    }
  }
  TokenScores scores;
  scores.chosen = ChosenHeads(options.heads, weights.layers(), weights.heads());
  scores.layers = weights.layers();
  scores.heads = weights.heads();
  scores.pooled = options.pooled;
  const Index count = scorer.M();
  const Index tokens = activations.pattern.dim(2);
  if (options.pooled < 0 || options.pooled >= tokens) {
    throw Error(ErrorCode::kInvalidArgument, "scores of tokens: pooled token {} of {}",
                options.pooled, tokens);
  }

  // Layers are summed apart and in order, so that threads decide no bit.
  const auto chosen = static_cast<Index>(scores.chosen.size());
  const bool by_head = options.detail == TokenDetail::kHeads;
  Array<double, 3> layers({weights.layers(), count, tokens});
  if (by_head) scores.detail = Array<double, 3>({chosen, count, tokens});
  if (options.rest) {
    scores.by_head = Array<double, 2>({weights.layers() * weights.heads(), count});
    scores.mlps = Array<double, 2>({weights.layers() + 1, count});
  }
  ParallelFor(threads, weights.layers(), [&](Index l, int) {
    for (Index h = 0; options.rest && h < weights.heads(); ++h) {
      scorer.FillHead({static_cast<int>(l), static_cast<int>(h)},
                      scores.by_head.row(l * weights.heads() + h));
    }
    for (Index k = 0; k < chosen; ++k) {
      const HeadId id = At(scores.chosen, k);
      if (id.layer != l) continue;
      if (!by_head) {
        scorer.AddTokens(id, layers.view()[l]);
        continue;
      }
      scorer.AddTokens(id, scores.detail.view()[k]);
      const std::span<const double> from = scores.detail.row(k);
      std::ranges::transform(layers.row(l), from, layers.row(l).begin(), std::plus<>());
    }
  });
  if (options.rest) scorer.FillMlps(scores.mlps);
  scores.tokens = Array<double, 2>({count, tokens});
  for (Index l = 0; l < weights.layers(); ++l) {
    std::ranges::transform(scores.tokens.flat(), layers.row(l), scores.tokens.flat().begin(),
                           std::plus<>());
  }
  if (options.detail == TokenDetail::kLayers) scores.detail = std::move(layers);
  return scores;
}

ScoreRest RestOf(const TokenScores& scores, Index m) {
  ScoreRest rest;
  rest.pooled_token = scores.tokens(m, scores.pooled);
  rest.input = scores.mlps(0, m);
  for (Index j = 1; j < scores.mlps.dim(0); ++j) rest.mlps += scores.mlps(j, m);
  for (Index i = 0; i < scores.by_head.dim(0); ++i) {
    const HeadId id{static_cast<int>(i / scores.heads), static_cast<int>(i % scores.heads)};
    if (!std::ranges::binary_search(scores.chosen, id)) rest.other_heads += scores.by_head(i, m);
  }
  return rest;
}

double SumOf(const TokenScores& scores, Index m) {
  double sum = RestOf(scores, m).sum() - scores.tokens(m, scores.pooled);
  for (const double v : scores.tokens.row(m)) sum += v;
  return sum;
}

Array<float, 2> TokenContributions(const ClipModel& model, TowerSide side, const Activations& a) {
  const TowerConfig& config = ConfigOf(model, side);
  CheckActivations(a, config.layers, config.heads, config.head_width());
  const OutputWeights weights(model, side);
  const Index width = weights.width;
  const Index tokens = a.pattern.dim(2);
  const auto components = static_cast<double>(2 * config.layers + 1);  // J
  Matrix residual = Matrix::Zero(tokens + 2, width);
  Matrix weighted(tokens, width);
  Vector out_bias = Vector::Zero(width);
  for (Index l = 0; l < config.layers; ++l) {
    for (Index i = 0; i < tokens; ++i) {
      for (Index d = 0; d < width; ++d) {
        weighted(i, d) = double{a.pattern(l, d / config.head_width(), i)} * a.value(l, i, d);
      }
    }
    nn::AddProduct(nn::Of(weighted), Block(weights.Out(l), width, width, width).Transposed(),
                   residual.data(), width);
    out_bias += ToVector(weights.OutBias(l), width);
    residual.row(tokens + 1) += ToVector(a.mlp.row(l + 1).data(), width).transpose();
  }
  residual.row(tokens) += ToVector(a.mlp.row(0).data(), width).transpose();
  const Vector gain = ToVector(weights.gain, width);
  const Vector bias = ToVector(weights.bias, width);
  // How many of the J components a row stands for: μ and β are shared over these.
  const auto layers = static_cast<double>(config.layers);
  for (Index i = 0; i < tokens + 2; ++i) {
    const double parts =
        i < tokens ? layers / static_cast<double>(tokens) : (i == tokens ? 1.0 : layers);
    if (i < tokens) residual.row(i) += out_bias.transpose() / static_cast<double>(tokens);
    residual.row(i).array() -= a.mean * parts / components;
    residual.row(i) = residual.row(i).cwiseProduct(gain.transpose()) / a.sigma +
                      bias.transpose() * (parts / components);
  }
  const Matrix embedded = nn::Product(nn::Of(residual), nn::Of(weights.projection));
  Array<float, 2> out({tokens + 2, model.config().embed_width});
  AsEigen(out.view()) = (embedded / a.norm).cast<float>();
  return out;
}

}  // namespace cliplens
