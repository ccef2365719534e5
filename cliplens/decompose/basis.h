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
};

struct Basis {
  Array<float, 4> heads;                       // [L, H, K+3, E]: the matrices B
  Index constants = FactorLayout{}.constants;  // rows of B behind those of z

  Index layers() const { return heads.dim(0); }
  Index num_heads() const { return heads.dim(1); }
  Index head_width() const { return heads.dim(2) - constants; }
  Index factor_width() const { return heads.dim(2); }
  FactorLayout layout() const { return {.values = head_width(), .constants = constants}; }
  Index embed_width() const { return heads.dim(3); }
  FactorSizes sizes() const { return {layers(), num_heads(), layout(), embed_width()}; }
  Components components() const { return {layers(), num_heads()}; }
  ArrayView<const float, 2> at(HeadId id) const { return heads.view()[id.layer][id.head]; }
};

Basis MakeBasis(const Readout& readout, int threads);

void WriteBasis(const std::filesystem::path& path, const Basis& basis);
// Checks the shape [L, H, K+3, E]; Error(kCorruptData) names the file.
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
