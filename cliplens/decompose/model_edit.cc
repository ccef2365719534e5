#include "cliplens/decompose/model_edit.h"

#include "cliplens/model/nn/matmul.h"

namespace cliplens {

using Kind = ComponentId::Kind;

ModelEdit::ModelEdit(const Readout& readout, const Edit& edit)
    : readout_(readout), constant_(edit.Constant()) {
  edit.CheckSizes(readout.components(), readout.embed_width());
  std::vector<double> bias(ToSize(readout.config().width), 0.0);
  for (const EditComponent& c : edit.components) {
    parts_.push_back({c.target, static_cast<float>(c.weight())});
    const Readout::Share share = readout.ShareOf(c.target, c.weight());
    share_ += share.norm;
    if (share.out_bias == 0) continue;
    const float* out = readout.out_bias(c.target.layer);
    for (std::size_t d = 0; d < bias.size(); ++d) {
      bias[d] += share.out_bias * static_cast<double>(out[d]);
    }
  }
  bias_.assign(bias.begin(), bias.end());
}

// Captures of contributions: what they change is their weighted sum.
void ModelEdit::ApplyContributions(const Captures& captures, std::span<float> embedding) const {
  const auto width = static_cast<Index>(embedding.size());
  Vector change = constant_;
  const auto take = [&](std::span<const float> row, float weight) {
    for (Index e = 0; e < width; ++e) change[e] -= double{weight} * double{At(row, e)};
  };
  for (const Part& part : parts_) {
    const ComponentId& t = part.target;
    if (t.is_residual()) {
      take(captures.parts.row(ResidualPartOf(t)), part.weight);
      continue;
    }
    const bool layer = t.kind == Kind::kLayer;
    const Index heads = readout_.config().heads;
    for (Index h = layer ? 0 : t.head; h < (layer ? heads : t.head + 1); ++h) {
      take(captures.z[t.layer].row(h), part.weight);
    }
  }
  for (Index e = 0; e < width; ++e) {
    At(embedding, e) = static_cast<float>(double{At(embedding, e)} + change[e]);
  }
}

void ModelEdit::Apply(const Captures& captures, std::span<float> embedding,
                      Scratch& scratch) const {
  if (readout_.factor().constants == 0) {
    ApplyContributions(captures, embedding);
    return;
  }
  const TowerConfig& tower = readout_.config();
  const Index width = tower.width;
  const Index head_width = tower.output_width();
  const Index inner = tower.heads * head_width;
  // Σ w (r or z W_O + its share of b_O) in the model's width: what is projected is one vector.
  std::vector<float>& row = scratch.row;
  row = bias_;
  for (const Part& part : parts_) {
    const ComponentId& t = part.target;
    if (t.is_residual()) {
      const std::span<const float> r = captures.parts.row(ResidualPartOf(t));
      for (Index d = 0; d < width; ++d) At(row, d) += part.weight * At(r, d);
      continue;
    }
    const bool layer = t.kind == Kind::kLayer;
    const Index k = layer ? inner : head_width;
    nn::Gemm({.m = 1,
              .n = width,
              .k = k,
              .a = captures.z[t.layer].row(layer ? 0 : t.head).data(),
              .a_stride = k,
              .b = readout_.out_weight(t.layer) + (layer ? 0 : t.head * head_width),
              .b_stride = inner,
              .transpose_b = true,
              .c = row.data(),
              .c_stride = width,
              .alpha = part.weight,
              .beta = 1});
  }
  scratch.change.resize(embedding.size());
  readout_.SumContribution(row, share_, captures.scale, scratch.projected, scratch.change);
  for (std::size_t e = 0; e < embedding.size(); ++e) {
    embedding[e] = static_cast<float>(static_cast<double>(embedding[e]) - scratch.change[e] +
                                      constant_[static_cast<Index>(e)]);
  }
}

}  // namespace cliplens
