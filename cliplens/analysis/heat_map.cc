#include "cliplens/analysis/heat_map.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "cliplens/analysis/token_map.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/model/unit_row.h"

namespace cliplens {
namespace {

// Each number of a map with that of another.
template <typename F>
HeatMap Combine(const HeatMap& a, const HeatMap& b, F&& f) {
  if (a.grid.shape() != b.grid.shape()) {
    throw Error(ErrorCode::kInvalidArgument, "heat maps of {} x {} and {} x {} patches",
                a.grid.dim(0), a.grid.dim(1), b.grid.dim(0), b.grid.dim(1));
  }
  HeatMap out{f(a.score, b.score), Array<double, 2>(a.grid.shape()), {}};
  std::ranges::transform(a.grid.flat(), b.grid.flat(), out.grid.data(), f);
  out.rest = {f(a.rest.pooled_token, b.rest.pooled_token),
              f(a.rest.registers, b.rest.registers),
              f(a.rest.mlps, b.rest.mlps),
              f(a.rest.pool_mlp, b.rest.pool_mlp),
              f(a.rest.input, b.rest.input),
              f(a.rest.other_heads, b.rest.other_heads)};
  return out;
}

}  // namespace

TokenPass PassOf(const ClipModel& model, const Image& picture, int threads, const std::string& name,
                 const CaptureRequest& captures) {
  TokenPass pass;
  pass.embedding = Array<float, 2>({1, model.config().embed_width});
  pass.pooled = model.config().class_token ? 0 : kNoPooledToken;
  pass.registers = model.config().registers;
  const Array<float, 3> pixels = Preprocess(picture, model.config().preprocess);
  Passes passes(model, threads);
  passes.ForImages(1, [&](Index, Index, Workspace& workspace) {
    model.EmbedImages({&pixels, 1}, pass.embedding, workspace, captures, {&pass.captures, 1});
  });
  CheckEmbedding(pass.embedding.row(0), Printable(name));
  return pass;
}

TokenPass PassOf(const ClipModel& model, const std::string& text, int threads, bool truncate,
                 const CaptureRequest& captures) {
  TokenPass pass;
  pass.embedding = Array<float, 2>({1, model.config().embed_width});
  const std::vector<Tokens> tokens = model.TokenizeTexts({&text, 1}, truncate, threads);
  pass.tokens = tokens.front();
  pass.pooled = pass.tokens.end;
  Passes passes(model, threads);
  passes.ForTexts(model, tokens, [&](Index, Index, Workspace& workspace) {
    model.EmbedTokens(tokens, pass.embedding, workspace, captures, {&pass.captures, 1});
  });
  CheckEmbedding(pass.embedding.row(0), fmt::format("text '{}'", Printable(text)));
  return pass;
}

double HeatMap::grid_sum() const {
  return std::accumulate(grid.flat().begin(), grid.flat().end(), 0.0);
}

std::vector<HeatMap> HeatMaps(const ClipModel& model, const TokenPass& pass,
                              ArrayView<const float, 2> directions, std::span<const HeadId> heads,
                              int threads) {
  const TokenWeights weights(model.image_readout(), directions, threads);
  const TokenScores scores = ScoreTokens(
      weights, pass.captures, {.heads = heads, .pooled = pass.pooled, .registers = pass.registers},
      ResolveThreads(threads));
  std::vector<HeatMap> maps(ToSize(directions.dim(0)));
  for (Index m = 0; m < directions.dim(0); ++m) {
    HeatMap& map = At(maps, m);
    map.grid = GridOf(scores.tokens.row(m), model.config().layout());
    map.rest = RestOf(scores, m);
    for (Index e = 0; e < directions.dim(1); ++e) {
      map.score += static_cast<double>(pass.embedding(0, e)) * directions(m, e);
    }
  }
  return maps;
}

HeatMap Difference(const HeatMap& a, const HeatMap& b) { return Combine(a, b, std::minus<>()); }

HeatMap MeanOf(std::span<const HeatMap> maps) {
  if (maps.empty()) throw Error(ErrorCode::kInvalidArgument, "heat maps: the mean of none");
  HeatMap sum = maps.front();
  for (const HeatMap& map : maps.subspan(1)) sum = Combine(sum, map, std::plus<>());
  const auto count = static_cast<double>(maps.size());
  return Combine(sum, sum, [count](double value, double) { return value / count; });
}

}  // namespace cliplens
