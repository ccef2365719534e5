// The weights' part of the factored decomposition.
//
//   const Basis basis = MakeBasis(model.image_readout(), /*threads=*/0);
//   Print(basis.at({11, 3}).shape());   // [K+3, E]
//
// "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916) writes
// the image embedding as a sum of contributions. Summed over tokens, head (l, h) contributes
//     c = u^T B,   u = [z, 1, μ, σ] / (σ n)  [K+3]
//     B = [A ; p_b/H ; −p_γ/(JH) ; p_β/(JH)]  [K+3, E]
// with A = W_O^h diag(γ) P, p_b = P^T(γ ⊙ b_O), p_γ = P^T γ, p_β = P^T β and J = 2L+1 components.
// B depends on the weights alone (docs/design.md, "Factored form"), so an image needs K numbers a
// head and (μ, σ, n). FactorLayout names the parts of u.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/readout.h"

namespace cliplens {

// Sizes of the factors of an encoder.
struct FactorSizes {
  Index layers = 0;  // L
  Index heads = 0;   // H
  FactorLayout factor;
  Index embed_width = 0;  // E
  bool pool_mlp = false;  // Components::has_pool_mlp
  Level level = Level::kBlocks;

  Components components() const { return {layers, heads, pool_mlp, level}; }
};

struct Basis {
  Array<float, 4> heads;  // [L, H, K+3, E]: the matrices B; empty where factors are contributions
  // Where factors are contributions (an attention pool), B is the identity [E, E] of all heads.
  Array<float, 2> identity = {};
  FactorSizes own = {};  // then; of `heads` otherwise, but for `pool_mlp` and `level`

  bool is_identity() const { return !identity.empty(); }
  Index layers() const { return is_identity() ? own.layers : heads.dim(0); }
  Index num_heads() const { return is_identity() ? own.heads : heads.dim(1); }
  Index factor_width() const { return is_identity() ? own.embed_width : heads.dim(2); }
  Index embed_width() const { return is_identity() ? own.embed_width : heads.dim(3); }
  FactorLayout layout() const {
    const Index constants = is_identity() ? 0 : FactorLayout{}.constants;
    return {.values = factor_width() - constants, .constants = constants};
  }
  Index head_width() const { return layout().values; }
  bool pool_mlp() const { return own.pool_mlp; }
  FactorSizes sizes() const {
    return {layers(), num_heads(), layout(), embed_width(), pool_mlp(), own.level};
  }
  Components components() const { return sizes().components(); }
  ArrayView<const float, 2> at(HeadId id) const {
    return is_identity() ? identity.view() : heads.view()[id.layer][id.head];
  }
};

Basis MakeBasis(const Readout& readout, int threads);

// The basis of factors that are contributions.
Basis IdentityBasis(const FactorSizes& sizes);

void WriteBasis(const std::filesystem::path& path, const Basis& basis);
// Checks the shape [L, H, K+3, E]; Error(kCorruptData) names the file, also where it is not of
// factors with so many constants.
Basis ReadBasis(const std::filesystem::path& path, Index constants = FactorLayout{}.constants);

// The scale in a row (μ, σ, n) of a store.
inline ReadoutScale ScaleOf(std::span<const float> ln) { return {ln[0], ln[1], ln[2]}; }
// Factors u [n, K+3] of pictures with z [n, K] and ln [n, 3]. Throws Error(kInvalidArgument) for
// other shapes.
Matrix FactorsOf(const FactorLayout& layout, ArrayView<const float, 2> z,
                 ArrayView<const float, 2> ln);

// Orthonormal coordinates of one head's contributions (docs/design.md, "Orthonormal coordinates"):
// G = B B^T = V Λ V^T cut at its numerical rank r; y = Λ^½ V^T u and q = Λ^−½ V^T B t, so ⟨y, y'⟩ =
// ⟨c, c'⟩ and ⟨y, q⟩ = ⟨c, t⟩ for every text t.
struct HeadCoordinates {
  Matrix from_factor;  // [r, K+3]: Λ^½ V^T
  Matrix from_text;    // [r, E]:   Λ^−½ V^T B
  Index rank() const { return from_factor.rows(); }
};
HeadCoordinates CoordinatesOf(ArrayView<const float, 2> head_basis);

}  // namespace cliplens
