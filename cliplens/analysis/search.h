// Finds the pictures of a store that are most alike in what some heads write or in the whole
// embedding.
//
//   const SearchVectors colour(store, {.heads = {{11, 3}, {11, 5}}, .weights = {0.8, 0.3}});
//   const SearchTerm term{&colour, colour.OfItem(12)};
//   for (const ScoredItem& found : Search(store, {&term, 1}, {.count = 10})) Print(found.item);
//
// "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916,
// section 5.3) compares pictures by the contribution of one head, "Quantifying and Enabling the
// Interpretability of CLIP-like Models" (arXiv 2409.06579) by the heads of a property; both by raw
// dot products. docs/search.md says how the measures differ, and why a property's heads are
// compared only along the directions in which its texts differ.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cliplens/analysis/extremes.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/tower.h"

namespace cliplens {

// How two vectors are compared.
enum class Measure {
  kCosine,  // of vectors about the mean of the store's pictures
  kDot,     // dot product of vectors about the mean
  kRaw,     // dot product of the vectors as they are
};
const char* NameOf(Measure measure);  // "cosine", "dot", "raw"
std::optional<Measure> MeasureNamed(std::string_view name);

// How the likenesses of several heads are combined.
enum class Definition {
  kSumOfScores,  // Σ_h ⟨c_h, c'_h⟩: no terms across heads; the same for one head
  kScoreOfSum,   // ⟨Σ_h c_h, Σ_h c'_h⟩
};
const char* NameOf(Definition definition);  // "sum-of-scores", "score-of-sum"
std::optional<Definition> DefinitionNamed(std::string_view name);

struct SearchSpace {
  std::vector<HeadId> heads = {};  // empty: the whole embedding
  // The weight on each head's contribution, such as the root of the share of its variance that a
  // property explains; empty: 1.
  std::vector<double> weights = {};
  // Orthonormal rows [r, E], such as SpanOfTexts: only the heads' parts along them are compared;
  // empty: the whole joint space.
  Array<float, 2> directions = {};
  Definition definition = Definition::kScoreOfSum;
  Measure measure = Measure::kCosine;
};
// Whether both give the same scores up to rounding. Their directions may differ if they span the
// same space.
bool IsSameSpace(const SearchSpace& a, const SearchSpace& b);

// Orthonormal rows [r, E] that span the differences of texts [M, E], which are their rows about
// their mean. Directions along which the texts differ by less than a thousandth of the largest
// difference are left out, so r < M.
Array<float, 2> SpanOfTexts(ArrayView<const float, 2> texts);

// Pictures and texts as vectors whose dot products are the scores: the heads' orthonormal
// coordinates side by side (at most K+3 numbers a head), or E numbers for a sum or the embedding,
// or r numbers with directions.
class SearchVectors {
 public:
  // Throws Error(kInvalidArgument) for a head that the store lacks, where weights are not as many
  // as heads or not above 0, and for directions of another width or without heads;
  // Error(kPrecondition) for a store without pictures' factors.
  SearchVectors(const Store& store, SearchSpace space);

  const SearchSpace& space() const { return space_; }
  Index width() const { return width_; }
  // Of the pictures of one shard [n, width]; safe to call from several threads.
  Array<float, 2> OfShard(Index shard) const;
  // Error(kInvalidArgument) for a number that the store lacks.
  std::vector<float> OfItem(Index item) const;
  // Of any picture, from its forward pass by the store's model.
  std::vector<float> OfPicture(const Captures& captures, std::span<const float> embedding) const;
  // Of a text's unit row [E]. With kCosine and kDot it scores the pictures' vectors about the mean;
  // with kCosine the text's part in the space has length one.
  std::vector<float> OfText(std::span<const float> text) const;

 private:
  Array<float, 2> Rows(const std::vector<Matrix>& factors, Index count) const;
  Array<float, 2> Finish(Matrix rows, bool about_mean) const;

  const Store& store_;
  SearchSpace space_;
  bool side_by_side_ = false;  // the heads' coordinates; else E numbers
  Index width_ = 0;
  std::vector<Matrix> from_factor_;  // of each head: [r, K+3], or B^T [E, K+3]
  std::vector<Matrix> from_text_;    // of each part of a vector: [r, E]; none: texts as they are
  RowVector mean_;                   // [width]
};

// One query; the scores of several are added up.
struct SearchTerm {
  const SearchVectors* vectors = nullptr;
  std::vector<float> query = {};  // [width]
  double weight = 1;              // -1: unlike
};

struct SearchOptions {
  Index count = 10;
  StorePart part = {};              // of the store's shards; the items keep their numbers
  std::vector<Index> exclude = {};  // items that are not wanted, such as the query itself
  int threads = 0;
  ProgressSink progress = {};  // shards
};

// The items of largest Σ weight · ⟨vector, query⟩, best first, ties by lower item. Exact: every
// picture is compared. The same to the byte for any number of threads. Memory: 8 bytes a picture
// and the vectors of one shard a thread. Throws as Store::ReadHead does.
std::vector<ScoredItem> Search(const Store& store, std::span<const SearchTerm> terms,
                               const SearchOptions& options);

}  // namespace cliplens
