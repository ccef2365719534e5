// Sparse words: the few texts whose non-negative sum gives a direction of the joint space.
//
//   const TextAtoms atoms = AtomsOf(texts);                       // of unit rows [M, E]
//   const Vector mean = store.statistics().Total(store.basis()).embedding.mean;
//   const Vector direction = DirectionOf(mean, atoms, /*scale=*/1, "the mean");
//   const SparseWords words = LassoWords(atoms, direction, /*count=*/10);
//   for (const SparseWord& w : words.words) Print(At(pool.texts, w.index), w.weight);
//   Print(words.cosine);                                          // of the sum and the direction
//
// Two ways to choose the texts. LassoWords follows the path of the positive lasso, whose solutions
// are optimal: "Interpreting CLIP with Sparse Linear Concept Embeddings (SpLiCE)" (arXiv
// 2402.10376). CoherentWords picks one text after the other and prefers texts that are like those
// picked before: COMP of "From Weights to Concepts: Data-Free Interpretability of CLIP via Singular
// Vector Decomposition" (arXiv 2603.24653). Both fit the weights of the chosen texts by
// non-negative least squares. All products have the bits of nn::Product.
#pragma once

#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"

namespace cliplens {

// (text − mean of the texts) in fp64 [M, E]; `mean` is set where it is not null.
Matrix AboutTheirMean(ArrayView<const float, 2> texts, RowVector* mean = nullptr);
// The length of each of these rows; 0 where it is below 1e-5, as the text then lies at the mean.
// Throws Error(kInvalidArgument) where all do, as a single text does.
Vector LengthsAboutMean(const Matrix& rows);
// Makes each row unit by its length; rows of length 0 become zero.
void MakeUnit(Matrix& rows, const Vector& lengths);

// Texts as unit vectors about their mean.
struct TextAtoms {
  Matrix columns;  // [E, M] unit columns; zero for a text that lies at the mean
  Vector removed;  // [E] the unit direction that was projected out of all; else empty

  Index size() const { return columns.cols(); }
};
// Unit columns of (text − mean of the texts). With `without_mean_direction` the direction of the
// mean is projected out first: a sum of these texts and any multiple of that direction is then
// fitted at no cost. Throws as LengthsAboutMean.
TextAtoms AtomsOf(ArrayView<const float, 2> texts, bool without_mean_direction = false);

// `vector` [E] without what the atoms lack, made unit. Throws Error(kPrecondition), which opens
// with `what`, if it is not finite or not longer than 1e-6 of `scale`, which is rounding.
Vector DirectionOf(const Vector& vector, const TextAtoms& atoms, double scale, const char* what);

struct SparseWord {
  Index index = 0;    // in the pool
  double weight = 0;  // of its atom in the sum; above 0
  double cosine = 0;  // of its atom and the direction
};
struct SparseWords {
  std::vector<SparseWord> words;  // by weight, largest first; ties to the lower index
  double cosine = 0;              // of the sum and the direction; 0 without words
  // LassoWords: the largest cosine that an unused text has with the rest of the direction where the
  // path stopped; 0 where all of it was followed.
  double penalty = 0;
};

// The texts of argmin ½|t − Σ w_j a_j|² + penalty · Σ w_j over w ≥ 0, at the penalty at which a
// text beyond `count` would join (0 if none ever does).
//   direction: t, a unit vector [E]
// The path is followed exactly (homotopy; Osborne, Presnell and Turlach 2000; "Least Angle
// Regression", Efron and others 2004): it costs two products with all atoms for each text that
// joins or leaves. Of texts that depend on each other linearly, such as doubled ones, the first
// alone is used; ties go to the lower index. No words if no text has a positive cosine. Throws
// Error(kInvalidArgument) for another width, or a count below 1.
SparseWords LassoWords(const TextAtoms& atoms, const Vector& direction, Index count);

struct CoherentOptions {
  Index count = 5;
  double coherence = 0.3;  // λ of the paper
};
// For each unit row t of `directions` [n, E]: up to `count` times the text of largest
//     ⟨r, a_j⟩ + coherence · mean of ⟨a_j, a_i⟩ over the texts i picked before
// among those with ⟨r, a_j⟩ > 0, where r is what is left of t. A text whose weight becomes 0 is not
// listed. Ties go to the lower index. Throws as LassoWords, and for a negative coherence.
std::vector<SparseWords> CoherentWords(const TextAtoms& atoms, const Matrix& directions,
                                       const CoherentOptions& options);

}  // namespace cliplens
