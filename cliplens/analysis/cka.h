// How alike two heads tell pictures apart: debiased linear CKA, with bounds.
//
//   const Matrix x = Matrix::Random(40, 3), y = x.leftCols(2);
//   const std::optional<Estimate> alike = DebiasedCka(x, y, 40);   // one block a picture
//   if (alike) Print(alike->value, alike->low, alike->high);
//
// Of contributions X [n, r] and Y [n, s] to the same n pictures
//     CKA = H(XX^T, YY^T) / √(H(XX^T, XX^T) H(YY^T, YY^T)),
// with H the unbiased estimator of HSIC ("Feature Selection via Dependence Maximization", JMLR
// 2012, as CKA uses it in "Do Wide and Deep Networks Learn the Same Things?", arXiv 2010.15327).
// With H = ⟨XX^T, YY^T⟩ of centred rows ("Similarity of Neural Network Representations Revisited",
// arXiv 1905.00414) CKA is biased upwards where pictures are few.
#pragma once

#include <optional>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/linear_algebra.h"

namespace cliplens {

// Pictures that bounds of CKA need: H needs 4 when one is left out.
inline constexpr Index kFewestForCka = 5;
// Blocks of the jackknife: as many as pictures, at most 100.
inline constexpr Index kMostCkaBlocks = 100;

// Successive rows; the g-th of `blocks` parts of `rows` rows.
struct RowRange {
  Index begin = 0, end = 0;
  Index size() const { return end - begin; }
};
RowRange BlockOf(Index block, Index blocks, Index rows);

// Debiased linear CKA of rows x [n, r] and y [n, s] about any means, with bounds by the jackknife
// over `blocks` blocks of successive rows. Nothing where a block leaves fewer than 4 rows, or rows
// without variance.
std::optional<Estimate> DebiasedCka(const Matrix& x, const Matrix& y, Index blocks);

// The same for many heads at once, without bounds: n (n − 3) H(K, L) = Σ_{i≠j} K°_ij L°_ij, with
// K° the U-centred Gram matrix ("Partial distance correlation with methods for dissimilarities",
// Annals of Statistics 42, 2014). Of rows x about their mean, K°_ij = ⟨x_i, x_j⟩ + a_i + a_j off
// the diagonal; this returns a [n]. Needs 3 rows or more.
std::vector<double> GramOffsets(const MatrixF& x);

}  // namespace cliplens
