#include "cliplens/decompose/store_edit.h"

#include <algorithm>
#include <utility>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

using Kind = ComponentId::Kind;

StoreEdit::StoreEdit(const Basis& basis, const Edit& edit)
    : edit_(edit), constant_(edit.Constant()) {
  edit.CheckSizes(basis.components(), basis.embed_width());
  for (const EditComponent& c : edit.components) {
    const ComponentId& t = c.target;
    const auto add = [&](Index h) {
      heads_.push_back({t.layer, static_cast<int>(h), t.level});
      changes_.emplace_back(-c.weight() * AsEigen(basis.at(heads_.back())).cast<double>());
    };
    if (t.kind == Kind::kHead) add(t.head);
    for (Index h = 0; t.kind == Kind::kLayer && h < basis.num_heads(); ++h) add(h);
    if (t.is_residual()) {
      mlps_.push_back(ResidualPartOf(t));
      mlp_weights_.push_back(c.weight());
    }
  }
}

Vector StoreEdit::Change(const FactorBlock& block, Index b) const {
  Vector change = constant_;
  const FactorLayout layout = block.layout();
  const ReadoutScale scale = ScaleOf(block.ln.row(b));
  std::vector<double> factor(ToSize(layout.width()));
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    layout.Fill(block.HeadRows(heads_[i]).row(b), scale, factor);
    change.noalias() += changes_[i].transpose() *
                        Eigen::Map<const Vector>(factor.data(), static_cast<Index>(factor.size()));
  }
  for (std::size_t j = 0; j < mlps_.size(); ++j) {
    const std::span<const float> row = block.mlp[mlps_[j]].row(b);
    for (Index e = 0; e < change.size(); ++e) {
      change[e] -= mlp_weights_[j] * static_cast<double>(At(row, e));
    }
  }
  return change;
}

void StoreEdit::EditRow(const FactorBlock& block, Index b, bool normalize,
                        std::span<float> embedding) const {
  const Vector change = Change(block, b);
  for (std::size_t e = 0; e < embedding.size(); ++e) {
    embedding[e] =
        static_cast<float>(static_cast<double>(embedding[e]) + change[static_cast<Index>(e)]);
  }
  if (normalize) NormalizeRow(embedding);
}

void StoreEdit::EditContributions(ArrayView<float, 3> heads, ArrayView<float, 2> mlps) const {
  const auto edit = [](std::span<float> row, const EditComponent& c, Index parts) {
    for (std::size_t e = 0; e < row.size(); ++e) {
      const double constant = c.constant.empty()
                                  ? 0.0
                                  : static_cast<double>(c.constant[e]) / static_cast<double>(parts);
      row[e] = static_cast<float>((1.0 - c.weight()) * static_cast<double>(row[e]) + constant);
    }
  };
  for (const EditComponent& c : edit_.components) {
    const ComponentId& t = c.target;
    if (t.is_residual()) {
      edit(mlps.row(ResidualPartOf(t)), c, 1);
    } else if (t.kind == Kind::kHead) {
      edit(heads[t.layer].row(t.head), c, 1);
    } else {
      for (Index h = 0; h < edit_.heads; ++h) edit(heads[t.layer].row(h), c, edit_.heads);
    }
  }
}

Array<float, 2> EditedRows(const Store& store, const Edit& edit, bool normalize) {
  const StoreEdit applied(store.basis(), edit);
  Array<float, 2> rows({store.info().images, store.basis().embed_width()});
  Index at = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const FactorBlock block = store.ReadShard(s);
    for (Index b = 0; b < block.images(); ++b, ++at) {
      std::ranges::copy(block.embedding.row(b), rows.row(at).data());
      applied.EditRow(block, b, normalize, rows.row(at));
    }
  }
  return rows;
}

void WriteEditTensors(const std::filesystem::path& path, const StoreEdit& edit) {
  std::vector<float> changes, weights, constant;
  std::vector<std::int32_t> heads, mlps;
  Index factor_width = 0;
  for (const Matrix& change : edit.changes()) {
    factor_width = change.rows();
    for (Index i = 0; i < change.size(); ++i) {
      changes.push_back(static_cast<float>(change.data()[i]));
    }
  }
  for (const HeadId& id : edit.heads()) {
    heads.push_back(id.layer);
    heads.push_back(id.head);
  }
  for (const Index j : edit.mlps()) mlps.push_back(static_cast<std::int32_t>(j));
  for (const double w : edit.mlp_weights()) weights.push_back(static_cast<float>(w));
  for (const double v : edit.constant()) constant.push_back(static_cast<float>(v));
  const auto num_heads = static_cast<Index>(edit.heads().size());
  const auto num_mlps = static_cast<Index>(edit.mlps().size());
  const TensorToWrite tensors[] = {
      {"changes",
       DataType::kF32,
       {num_heads, factor_width, edit.constant().size()},
       AsBytes(changes)},
      {"heads", DataType::kI32, {num_heads, 2}, AsBytes(heads)},
      {"mlps", DataType::kI32, {num_mlps}, AsBytes(mlps)},
      {"mlp_weights", DataType::kF32, {num_mlps}, AsBytes(weights)},
      {"constant", DataType::kF32, {edit.constant().size()}, AsBytes(constant)}};
  WriteSafetensors(path, tensors);
}

}  // namespace cliplens
