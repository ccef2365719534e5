#include "cliplens/model/tower.h"

#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/model/rotary.h"

namespace cliplens {
namespace {

Tensor& Find(TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw Error(ErrorCode::kInternal, "tensor '{}' was not loaded", name);
  }
  return found->second;
}

// Rows of the MLP's input matrix.
Index MlpInWidth(const TowerConfig& config) {
  return (config.gated_mlp == GatedMlp::kNone ? 1 : 2) * config.mlp_width;
}

}  // namespace

const char* NameOf(Precision precision) { return precision == Precision::kBF16 ? "bf16" : "fp32"; }

Precision ParsePrecision(const std::string& name) {
  if (name == "fp32") return Precision::kF32;
  if (name == "bf16") return Precision::kBF16;
  if (name == "auto") return nn::HasBFloat16() ? Precision::kBF16 : Precision::kF32;
  throw Error(ErrorCode::kInvalidArgument, "no precision '{}'; give fp32, bf16 or auto", name);
}

struct Tower::Plain {
  struct Layer {
    std::vector<float> in_weight, out_weight, mlp_in_weight, mlp_out_weight;
    const float* out_bias;
  };
  std::once_flag once;
  std::vector<Layer> layers;
  Packed packed;
};

Tower::Tower(const TowerConfig& config, TensorMap& tensors, const std::string& prefix, bool causal,
             Precision precision, const TokenLayout& layout)
    : config_(config),
      causal_(causal),
      precision_(precision),
      in_front_(layout.prefix),
      plain_(std::make_shared<Plain>()) {
  if (precision == Precision::kBF16 && !nn::HasBFloat16()) {
    throw Error(ErrorCode::kUnsupported,
                "this processor has no bfloat16 products (AVX-512 BF16 or AMX); use --precision "
                "fp32, or auto, which chooses");
  }
  const bool gated = config.gated_mlp != GatedMlp::kNone;
  if (config.rotary) rotary_ = RotaryTable(*config.rotary, layout, config.head_width());
  for (Index l = 0; l < config.layers; ++l) {
    const auto tensor = [&](const char* part) -> Tensor& {
      return Find(tensors, fmt::format("{}.block.{}.{}", prefix, l, part));
    };
    const auto get = [&](const char* part) { return tensor(part).values.data(); };
    blocks_.push_back(
        {get("ln1.gain"), get("ln1.bias"), get("ln2.gain"), get("ln2.bias"), get("attn.in.bias"),
         get("mlp.in.bias"), get("mlp.out.bias"), config.sub_norm ? get("attn.norm.gain") : nullptr,
         config.sub_norm ? get("attn.norm.bias") : nullptr, gated ? get("mlp.norm.gain") : nullptr,
         gated ? get("mlp.norm.bias") : nullptr});
    std::vector<float>& out = tensor("attn.out.weight").values;
    if (precision == Precision::kBF16) {
      for (float& v : out) v = nn::ToFloat(nn::ToBFloat16(v));
    }
    plain_->layers.push_back({std::move(tensor("attn.in.weight").values), out,
                              std::move(tensor("mlp.in.weight").values),
                              std::move(tensor("mlp.out.weight").values), get("attn.out.bias")});
  }
}

const Tower::Packed& Tower::packed(int threads) const {
  std::call_once(plain_->once, [&] {
    const Index width = config_.width;
    const Index mlp_width = config_.mlp_width;
    std::vector<Packed::Layer>& layers = plain_->packed.layers;
    layers.resize(ToSize(config_.layers));
    ParallelFor(threads, config_.layers, [&](Index l, int) {
      Plain::Layer& p = At(plain_->layers, l);
      const Block& block = At(blocks_, l);
      Packed::Layer& layer = At(layers, l);
      const float* in = p.in_weight.data();
      if (l + 1 < config_.layers) {
        layer.qkv = {in, block.in_bias, 3 * width, width, precision_};
      } else {
        layer.query = {in, block.in_bias, width, width, precision_};
        layer.key_value = {in + width * width, block.in_bias + width, 2 * width, width, precision_};
      }
      layer.out = {p.out_weight.data(), p.out_bias, width, width, precision_};
      layer.mlp_in = {p.mlp_in_weight.data(), block.mlp_in_bias, MlpInWidth(config_), width,
                      precision_};
      layer.mlp_out = {p.mlp_out_weight.data(), block.mlp_out_bias, width, mlp_width, precision_};
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

Array<float, 2> Tower::Weight(Index layer, Matrix matrix) const {
  const Packed::Layer& packed_layer = At(packed().layers, layer);
  switch (matrix) {
    case Matrix::kMlpIn:
      return packed_layer.mlp_in.Unpack();
    case Matrix::kMlpOut:
      return packed_layer.mlp_out.Unpack();
    case Matrix::kValue:
      break;
  }
  // The values' rows are the last of what stands in one matrix.
  const bool last = packed_layer.qkv.empty();
  const Array<float, 2> all = last ? packed_layer.key_value.Unpack() : packed_layer.qkv.Unpack();
  const std::span<const float> values = all.rows(all.dim(0) - config_.width, all.dim(0)).flat();
  return Array<float, 2>({config_.width, config_.width}, {values.begin(), values.end()});
}

std::span<const float> Tower::Bias(Index layer, Matrix matrix) const {
  const Block& block = At(blocks_, layer);
  switch (matrix) {
    case Matrix::kMlpIn:
      return {block.mlp_in_bias, ToSize(MlpInWidth(config_))};
    case Matrix::kMlpOut:
      return {block.mlp_out_bias, ToSize(config_.width)};
    case Matrix::kValue:
      break;
  }
  return {block.in_bias + 2 * config_.width, ToSize(config_.width)};
}

std::span<const float> Tower::NormGain(Index layer, int norm) const {
  const Block& block = At(blocks_, layer);
  if (norm == 2 && !config_.sub_norm) return {};
  const float* gains[] = {block.ln1_gain, block.ln2_gain, block.sub_gain};
  return {gains[norm], ToSize(config_.width)};
}

std::span<const float> Tower::NormBias(Index layer, int norm) const {
  const Block& block = At(blocks_, layer);
  if (norm == 2 && !config_.sub_norm) return {};
  const float* biases[] = {block.ln1_bias, block.ln2_bias, block.sub_bias};
  return {biases[norm], ToSize(config_.width)};
}

}  // namespace cliplens
