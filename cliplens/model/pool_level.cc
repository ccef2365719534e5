#include "cliplens/model/pool_level.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

constexpr char kPrefix[] = "pool";

TowerConfig PoolTower(const ModelConfig& config) {
  return {.layers = 1,
          .width = config.pool_width(),
          .heads = config.pool.heads,
          .mlp_width = config.pool.mlp_width,
          .norm_epsilon = config.vision.norm_epsilon,
          .activation = config.vision.activation};
}

// What Readout reads of a tower.
TensorMap PoolTensors(const ModelConfig& config, const TensorMap& tensors) {
  const Index width = config.pool_width();
  TensorMap out;
  const auto copy = [&](const char* from, const char* to) {
    out[std::string(kPrefix) + to] = tensors.at(std::string("vision.") + from);
  };
  copy("pool.out.weight", ".block.0.attn.out.weight");
  copy("pool.out.bias", ".block.0.attn.out.bias");
  if (config.pool.coca) {
    copy("pool.ln.gain", ".ln_post.gain");
    copy("pool.ln.bias", ".ln_post.bias");
  } else {
    out["pool.ln_post.gain"] = {{width}, std::vector<float>(ToSize(width), 1.0f)};
    out["pool.ln_post.bias"] = {{width}, std::vector<float>(ToSize(width), 0.0f)};
  }
  if (config.projection) {
    copy("projection", ".projection");
  } else {
    Tensor identity{{width, width}, std::vector<float>(ToSize(width * width), 0.0f)};
    for (Index i = 0; i < width; ++i) At(identity.values, i * width + i) = 1;
    out["pool.projection"] = std::move(identity);
  }
  if (config.projection_bias) copy("projection.bias", ".projection.bias");
  return out;
}

}  // namespace

Components TermsOf(const ModelConfig& config, Level level) {
  const bool mlp = config.pool.kind == Pooling::kAttention && config.pool.mlp_width > 0;
  if (level == Level::kPool) return {1, config.pool.heads, mlp, level};
  return {config.vision.layers, config.vision.heads, mlp};
}

PoolLevel::PoolLevel(const ModelConfig& config, const TensorMap& tensors, const AttentionPool& pool)
    : pool_(pool),
      class_token_(config.class_token),
      tensors_(PoolTensors(config, tensors)),
      readout_(PoolTower(config), tensors_, kPrefix, config.embed_width, config.tokens(),
               /*pool=*/nullptr, /*given_sigma=*/false,
               PoolTerms{.mlp = pool.has_mlp(), .norm = pool.has_norm_behind()}) {}

void PoolLevel::CheckRequest(const CaptureRequest& request) const {
  CaptureRequest own;
  own.z = request.z;
  own.z_self = request.z_self;
  own.parts = request.parts;
  own.pattern = request.pattern;
  own.value = request.value;
  if (request == own) return;
  throw Error(ErrorCode::kUnsupported,
              "this needs what the blocks compute, which has no part at the level of the pool; "
              "leave --level pool out, or give a store of the blocks");
}

void PoolLevel::Pool(ArrayView<const float, 2> rows, const CaptureRequest& request,
                     Captures* captures, std::span<float> pooled) const {
  const AttentionPool::Heads run = pool_.RunHeads(rows);
  const auto narrow = [](double v) { return static_cast<float>(v); };
  std::ranges::transform(run.row, pooled.begin(), narrow);
  if (captures == nullptr) return;
  const Index heads = pool_.heads();
  const Index width = run.z.size();
  const Index tokens = rows.dim(0);
  *captures = {};
  const auto give = [](PerLayer<3>& values, LayerRange wanted, Index count, Index numbers) {
    wanted = wanted.Of(1);
    if (wanted.empty()) return false;
    values = {wanted, Array<float, 3>({1, count, numbers})};
    return true;
  };
  if (give(captures->z, request.z, heads, width / heads)) {
    std::ranges::transform(run.z, captures->z[0].data(), narrow);
  }
  if (give(captures->pattern, request.pattern, heads, tokens)) {
    AsEigen(captures->pattern[0]) = run.weights.cast<float>();
  }
  if (give(captures->value, request.value, tokens, width)) {
    std::ranges::copy(pool_.Values(rows).flat(), captures->value[0].data());
  }
  if (class_token_ && give(captures->z_self, request.z_self, heads, width / heads)) {
    const Array<float, 2> value = pool_.Values(rows.rows(0, 1));
    const ArrayView<float, 2> own = captures->z_self[0];
    for (Index i = 0; i < width; ++i) {
      own.data()[i] = narrow(run.weights(i * heads / width, 0) * double{value(0, i)});
    }
  }
  if (request.parts.Of(1).empty()) return;
  captures->parts = Array<float, 2>({readout_.components().num_residual(), width});
  if (pool_.has_mlp()) std::ranges::transform(run.mlp, captures->parts.data(), narrow);
}

}  // namespace cliplens
