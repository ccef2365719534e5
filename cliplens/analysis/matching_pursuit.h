// Matching pursuit: the few texts whose sum, with weights of any sign, gives each of many
// directions. One run gives the whole path, so every number of texts up to the largest.
//
//   const PursuitAtoms atoms(texts);                             // of unit rows [M, E]
//   const std::vector<PursuitPath> paths = MatchingPursuit(atoms, directions, {.count = 128});
//   const PursuitPath& path = paths[7];
//   const Vector weights = path.Coefficients(/*prefix=*/32);     // of the first 32 texts
//   Print(At(pool.texts, path.texts[0]), weights[0]);
//   Print(path.squared_rest[31]);                                // what 32 texts leave
//
// The method is orthogonal matching pursuit ("Orthogonal matching pursuit: recursive function
// approximation with applications to wavelet decomposition", Pati, Rezaiifar and Krishnaprasad
// 1993), by which "Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341)
// describes the directions of neurons with texts ("Sparse decomposition"). Texts and weights are
// those of scikit-learn's orthogonal_mp in fp64.
//
// A product in fp32 of all texts and a chunk of targets finds the texts that may correlate most.
// fp64 decides between those that lie within the product's error, and does all of the algebra. So
// no bit depends on the number of threads, on the other targets or on the processor's vectors.
#pragma once

#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/progress.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {

// What becomes of a text after the mean of the texts is subtracted.
enum class TextScale {
  // Each text is made unit. A text that lies at the mean becomes zero and is never chosen.
  kUnit,
  // Each coordinate is divided by its 2-norm over all texts, as the paper's code does, so texts
  // differ in length and long ones are preferred. That code also multiplies by 100, which divides
  // the weights by 100 and changes nothing else. A coordinate that is the same in all texts, up to
  // the rounding of fp32, becomes zero.
  kReference,
};

const char* NameOf(TextScale scale);  // "unit", "reference"

// Texts as the pursuit reads them. Memory: 12 · M · E bytes.
class PursuitAtoms {
 public:
  // texts: [M, E]. Throws Error(kInvalidArgument) without texts, for a number that is not finite,
  // and as LengthsAboutMean (sparse_words.h).
  explicit PursuitAtoms(ArrayView<const float, 2> texts, TextScale scale = TextScale::kUnit);

  Index size() const { return rows_.rows(); }          // M
  Index width() const { return rows_.cols(); }         // E
  const Matrix& rows() const { return rows_; }         // [M, E]
  double most_length() const { return most_length_; }  // of a row
  // The rows in fp32, kTile to a product; the last has what is left.
  static constexpr Index kTile = 512;
  const std::vector<nn::Weights>& tiles() const { return tiles_; }

 private:
  Matrix rows_;
  double most_length_ = 0;
  std::vector<nn::Weights> tiles_;
};

// Why a path ends. Where scikit-learn warns that a pursuit ended prematurely, this is not kCount.
enum class PursuitEnd {
  kCount,   // it has as many texts as were asked for
  kExact,   // the texts give the target: what they leave is rounding. A target of length 0 at once
  kNoText,  // no other text adds to the sum: each lies in the span of those chosen, as a double of
            // one does, or at a right angle to what is left
};

// Texts a_0, a_1, … of one target t.
struct PursuitPath {
  std::vector<Index> texts;          // in the order in which they were chosen
  std::vector<double> squared_rest;  // |t − sum|² after each of them, for the best weights
  double squared_length = 0;         // |t|²
  PursuitEnd end = PursuitEnd::kCount;
  // The texts are Q R: `along` is Q^T t, and `factor` has the columns of R, which is upper
  // triangular, one after the other; column k is k + 1 numbers.
  std::vector<double> along;
  std::vector<double> factor;

  Index size() const { return static_cast<Index>(texts.size()); }
  // The weights w of the first `prefix` texts that minimise |t − Σ w_k a_k|, one for each, in the
  // order of `texts`; those of all texts where the path has fewer. They are what a pursuit of
  // count = prefix gives. Takes prefix² / 2 steps. Throws Error(kInvalidArgument) below 0.
  Vector Coefficients(Index prefix) const;
};

struct PursuitOptions {
  Index count = 32;
  int threads = 0;             // 0: all that this process may run on
  ProgressSink progress = {};  // counts texts, of targets · min(count, M, E)
};

// One path for each row t of `targets` [n, E]. Text k is the one of largest |⟨r, a⟩|, where r is
// what the texts before it leave of t; lengths of texts are not divided out. Texts nearer than
// 1e-13 of the longest text and r are tied, and ties go to the lower index. A path ends before
// `count` texts where ⟨r, a⟩² ≤ ε |t|² |a|² with ε = 2^-52; for unit vectors this is scikit-learn's
// rule. It ends a path too where a was chosen before or depends on those that were: what they leave
// of a is then below √ε |a|, and ⟨r, a⟩ as well.
//
// Time: 2 · n · count · M · E operations in fp32, and about n · count² · E in fp64. Memory: for
// each thread at most 128 targets at a time, in 64 MiB or one target and 256 KiB; a path keeps
// count² / 2 + 3.5 · count numbers (68 KiB for 128 texts). Throws Error(kInvalidArgument) for
// another width, a count below 1, and a target that is not finite or whose squared length is not.
std::vector<PursuitPath> MatchingPursuit(const PursuitAtoms& atoms,
                                         ArrayView<const float, 2> targets,
                                         const PursuitOptions& options);
std::vector<PursuitPath> MatchingPursuit(const PursuitAtoms& atoms, const Matrix& targets,
                                         const PursuitOptions& options);

}  // namespace cliplens
