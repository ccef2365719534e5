#include "cliplens/analysis/token_scores.h"

#include <algorithm>
#include <numeric>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

void CheckCaptures(const Captures& c, const Readout& readout) {
  const TowerConfig& config = readout.config();
  if (c.pattern.empty() || c.value.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores of tokens: the forward pass kept no tokens; ask the encoder for "
                "TokenCaptures()");
  }
  const Index tokens = c.pattern.dim(2);
  if (c.pattern.shape() != Shape<3>{config.layers, config.heads * readout.pools(), tokens} ||
      c.value.shape() != Shape<3>{config.layers, tokens, config.heads * config.output_width()} ||
      c.z.shape() != Shape<3>{config.layers, config.heads, readout.factor().values} ||
      c.parts.dim(0) != readout.components().num_residual()) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores of tokens: a pass of {} layers and {} heads, weights of {} and {}; both "
                "must be of one model and tower",
                c.pattern.dim(0), c.pattern.dim(1), config.layers, config.heads);
  }
}

// [rows, n] of a view that lies in a matrix with `stride` between rows.
nn::Operand<float> Block(const float* data, Index rows, Index columns, Index stride) {
  return {data, rows, columns, stride, 1};
}

std::vector<HeadId> ChosenHeads(std::span<const HeadId> heads, const Components& components) {
  std::vector<HeadId> chosen(heads.begin(), heads.end());
  if (chosen.empty()) chosen = components.AllHeads();
  const Index layers = components.layers();
  const Index num_heads = components.heads_a_layer();
  for (const HeadId id : chosen) {
    if (!components.Has(id)) {
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

TokenWeights::TokenWeights(const Readout& readout, ArrayView<const float, 2> directions,
                           int threads)
    : readout_(&readout), directions_(directions.dim(0)) {
  if (directions.dim(1) != readout.embed_width() || directions_ == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores of tokens: directions of shape [{}, {}] for an embedding of {}",
                directions.dim(0), directions.dim(1), readout.embed_width());
  }
  against_ = readout.Against(directions, threads);
  if (readout.factor().constants > 0) return;
  text_ = Array<float, 2>(directions.shape());
  std::ranges::copy(directions.flat(), text_.data());
}

// Works on the rows of the directions that are asked for.
struct TokenScorer {
  const TokenWeights& weights;
  const Captures& captures;
  const TokenScoresOptions& options;
  std::vector<Index> rows = {};  // directions asked for

  Index M() const { return static_cast<Index>(rows.size()); }

  Index Q() const { return weights.readout_->pools(); }
  // Whether captures hold contributions, as behind an attention pool.
  bool contributions() const { return weights.readout_->factor().constants == 0; }

  // W^h t of the rows asked for, [M·Q, K]; copied only where they are not all.
  nn::Operand<double> OfHead(HeadId id, Matrix& copy) const {
    const Matrix& all = At(weights.against_.heads, id.layer);
    const Index head_width = weights.output_width();
    const Index first = id.head * head_width;
    if (options.directions.empty()) {
      return {all.data() + first, M() * Q(), head_width, all.cols(), 1};
    }
    copy.resize(M() * Q(), head_width);
    for (Index m = 0; m < M() * Q(); ++m) {
      copy.row(m) = all.row(At(rows, m / Q()) * Q() + m % Q()).segment(first, head_width);
    }
    return nn::Of(copy);
  }

  // Contributions [n, E] against the directions asked for, [n, M].
  Matrix Against(ArrayView<const float, 2> contributions) const {
    const Matrix all =
        nn::Product(nn::Of(contributions), nn::Of(weights.text_.view()).Transposed());
    Matrix chosen(contributions.dim(0), M());
    for (Index m = 0; m < M(); ++m) chosen.col(m) = all.col(At(rows, m));
    return chosen;
  }

  // A head's constants for one direction, before they are shared over its tokens.
  double HeadConstant(HeadId id, Index m) const {
    return weights.readout_->HeadConstant(weights.against_, id.layer, At(rows, m), captures.scale);
  }

  double Scale() const { return 1.0 / (captures.scale.sigma * captures.scale.norm); }

  // Adds what each token brings through the head to `out` [M, N].
  void AddTokens(HeadId id, ArrayView<double, 2> out) const {
    const Index tokens = out.dim(1);
    const Index head_width = weights.output_width();
    Matrix copy;
    const ArrayView<const float, 2> value = captures.value[id.layer];
    const Matrix product = nn::Product(
        OfHead(id, copy),
        Block(value.data() + id.head * head_width, tokens, head_width, value.dim(1)).Transposed());
    for (Index m = 0; m < M(); ++m) {
      const double share = HeadConstant(id, m) / static_cast<double>(tokens);
      const std::span<double> to = out.row(m);
      for (Index p = 0; p < Q(); ++p) {
        const std::span<const float> alpha = captures.pattern[id.layer].row(id.head * Q() + p);
        const double constant = p == 0 ? share : 0;
        for (std::size_t i = 0; i < to.size(); ++i) {
          to[i] += (alpha[i] * product(m * Q() + p, static_cast<Index>(i)) + constant) * Scale();
        }
      }
    }
  }

  void FillHead(HeadId id, std::span<double> out) const {
    if (contributions()) {
      const Matrix of_head = Against(captures.z[id.layer].rows(id.head, id.head + 1));
      for (Index m = 0; m < M(); ++m) At(out, m) = of_head(0, m);
      return;
    }
    const Index head_width = weights.output_width();
    Matrix copy;
    const Matrix product = nn::Product(
        OfHead(id, copy),
        Block(captures.z[id.layer].row(id.head).data(), 1, head_width, head_width).Transposed());
    for (Index m = 0; m < M(); ++m) {
      At(out, m) = (product(m, 0) + HeadConstant(id, m)) * Scale();
    }
  }

  void FillMlps(ArrayView<double, 2> out) const {
    if (contributions()) {
      AsEigen(out) = Against(captures.parts);
      return;
    }
    const Matrix product =
        nn::Product(nn::Of(captures.parts.view()), nn::Of(weights.against_.residual).Transposed());
    for (Index j = 0; j < out.dim(0); ++j) {
      for (Index m = 0; m < M(); ++m) {
        const Index row = At(rows, m);
        const double constant =
            weights.readout_->PartConstant(weights.against_, row, captures.scale);
        out(j, m) = (product(j, row) + constant) * Scale();
      }
    }
  }
};

TokenScores ScoreTokens(const TokenWeights& weights, const Captures& captures,
                        const TokenScoresOptions& options, int threads) {
  const Components components = weights.components();
  CheckCaptures(captures, *weights.readout_);
  TokenScorer scorer{weights, captures, options};
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
  scores.chosen = ChosenHeads(options.heads, components);
  scores.components = components;
  scores.pooled = options.pooled;
  scores.registers = options.registers;
  const Index count = scorer.M();
  const Index tokens = captures.pattern.dim(2);
  if (options.pooled < kNoPooledToken || options.pooled >= tokens) {
    throw Error(ErrorCode::kInvalidArgument, "scores of tokens: pooled token {} of {}",
                options.pooled, tokens);
  }
  if (options.registers < 0 || options.registers >= tokens - options.pooled) {
    throw Error(ErrorCode::kInvalidArgument, "scores of tokens: {} registers behind token {} of {}",
                options.registers, options.pooled, tokens);
  }

  // Layers are summed apart and in order, so that threads decide no bit.
  const auto chosen = static_cast<Index>(scores.chosen.size());
  const bool by_head = options.detail == TokenDetail::kHeads;
  Array<double, 3> layers({components.layers(), count, tokens});
  if (by_head) scores.detail = Array<double, 3>({chosen, count, tokens});
  if (options.rest) {
    scores.by_head = Array<double, 2>({components.num_heads(), count});
    scores.mlps = Array<double, 2>({components.num_residual(), count});
  }
  ParallelFor(threads, components.layers(), [&](Index l, int) {
    for (Index h = 0; options.rest && h < components.heads_a_layer(); ++h) {
      const Index number = l * components.heads_a_layer() + h;
      scorer.FillHead(components.HeadAt(number), scores.by_head.row(number));
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
  for (Index l = 0; l < components.layers(); ++l) {
    std::ranges::transform(scores.tokens.flat(), layers.row(l), scores.tokens.flat().begin(),
                           std::plus<>());
  }
  if (options.detail == TokenDetail::kLayers) scores.detail = std::move(layers);
  return scores;
}

ScoreRest RestOf(const TokenScores& scores, Index m) {
  ScoreRest rest;
  if (scores.pooled != kNoPooledToken) rest.pooled_token = scores.tokens(m, scores.pooled);
  for (Index i = 1; i <= scores.registers; ++i) {
    rest.registers += scores.tokens(m, scores.pooled + i);
  }
  for (Index j = 0; j < scores.mlps.dim(0); ++j) {
    const ComponentId id = scores.components.at(scores.components.NumberOfResidual(j));
    double& part = id.kind == ComponentId::Kind::kInput ? rest.input
                   : id.kind == ComponentId::Kind::kMlp ? rest.mlps
                                                        : rest.pool_mlp;
    part += scores.mlps(j, m);
  }
  for (Index i = 0; i < scores.by_head.dim(0); ++i) {
    if (!std::ranges::binary_search(scores.chosen, scores.components.HeadAt(i)))
      rest.other_heads += scores.by_head(i, m);
  }
  return rest;
}

double SumOf(const TokenScores& scores, Index m) {
  const ScoreRest rest = RestOf(scores, m);
  double sum = rest.sum() - rest.pooled_token - rest.registers;
  for (const double v : scores.tokens.row(m)) sum += v;
  return sum;
}

Array<float, 2> TokenContributions(const Readout& readout, const Captures& captures) {
  CheckCaptures(captures, readout);
  return readout.TokenContributions(captures);
}

}  // namespace cliplens
