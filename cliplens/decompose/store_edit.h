// Edits of the rows of a store.
//
//   const StoreEdit applied(store.basis(), edit);
//   const FactorBlock block = store.ReadShard(0);
//   Print(applied.Change(block, /*b=*/0).norm());   // how far picture 0 moves
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Gives the rows of ModelEdit, up to rounding.
class StoreEdit {
 public:
  // Throws Error(kInvalidArgument) unless the edit's sizes are the basis's.
  StoreEdit(const Basis& basis, const Edit& edit);

  // e_edit − e of row b of a block [E].
  Vector Change(const FactorBlock& block, Index b) const;
  // Turns `embedding`, the unit row of row b, into e_edit, made unit with `normalize`.
  void EditRow(const FactorBlock& block, Index b, bool normalize, std::span<float> embedding) const;
  // Turns the contributions c of a row, heads [L, H, E] and INPUT and MLPs [L+1, E], into x c + k.
  // The constant of a whole layer is shared evenly among its heads.
  void EditContributions(ArrayView<float, 3> heads, ArrayView<float, 2> mlps) const;

  // The edit in factors, for other programs: e_edit = e + Σ_i u_i^T changes_i − Σ_j w_j c_j +
  // constant, over the edited heads i and the edited parts j of INPUT and the MLPs.
  const std::vector<HeadId>& heads() const { return heads_; }
  const std::vector<Matrix>& changes() const { return changes_; }  // −(1 − x) B [K+3, E]
  const std::vector<Index>& mlps() const { return mlps_; }         // 0: INPUT, l+1: MLP l
  const std::vector<double>& mlp_weights() const { return mlp_weights_; }  // 1 − x
  const Vector& constant() const { return constant_; }

 private:
  Edit edit_;
  std::vector<HeadId> heads_;
  std::vector<Matrix> changes_;
  std::vector<Index> mlps_;
  std::vector<double> mlp_weights_;
  Vector constant_;
};

// Edited rows [images, E] of a store, unit unless `normalize` is false.
Array<float, 2> EditedRows(const Store& store, const Edit& edit, bool normalize);

// The edit as a safetensors file, for programs that hold factors: `changes` [n, K+3, E], `heads`
// [n, 2], `mlps` [m], `mlp_weights` [m], `constant` [E] (docs/edits.md).
void WriteEditTensors(const std::filesystem::path& path, const StoreEdit& edit);

}  // namespace cliplens
