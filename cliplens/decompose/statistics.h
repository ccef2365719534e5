// Moments of contributions, which a store keeps for any number of images.
//
//   const Moments head = store.statistics().HeadMoments({5, 2});   // of the factor u [K+3]
//   Print(head.count, head.Covariance().trace());
//
// Moments are kept for disjoint slices of the images (by a hash of the item), which gives every
// later figure its spread, and they merge (Chan, Golub and LeVeque's pairwise update). They are
// computed from exact sums (sums.h), which stores hold and which are added up over shards and
// machines (docs/design.md, "Statistics").
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/sums.h"

namespace cliplens {

inline constexpr Index kDefaultSlices = 8;

// The slice of an item: XXH3 of its path, so it does not depend on order or shards.
Index SliceOf(std::string_view item_path, Index slices);

// Count, mean [n] and centred second moment Σ (x − mean)(x − mean)^T [n, n], fp64.
struct Moments {
  double count = 0;
  Vector mean;
  Matrix scatter;
  // Of heads whose factors are contributions Σ |x − mean|² alone is kept, and `scatter` is empty.
  std::optional<double> trace = {};

  explicit Moments(Index width = 0)
      : mean(Vector::Zero(width)), scatter(Matrix::Zero(width, width)) {}
  static Moments WithTrace(Index width);
  void Add(const Matrix& rows);  // [B, n]
  void Merge(const Moments& other);
  // Σ / count. Throws Error(kPrecondition) on fewer than two images, or without a scatter.
  Matrix Covariance() const;
  // The mean of |B^T (x − mean)|².
  double Variance(ArrayView<const float, 2> basis) const;
  // (scatter + count · mean mean^T) / count: the second moment about zero.
  Matrix SecondMoment() const;
};

// Count, mean [n] and Σ |x − mean|².
struct TraceMoments {
  double count = 0;
  Vector mean;
  double trace = 0;

  explicit TraceMoments(Index width = 0) : mean(Vector::Zero(width)) {}
  void Add(const Matrix& rows);
  void Merge(const TraceMoments& other);
};

// Moments of one slice, by the numbers of Components.
struct SliceStatistics {
  std::vector<Moments> heads;          // [L·H], of the factor u [K+3]
  std::vector<TraceMoments> mlps;      // [L+1], of the contribution [E]: INPUT, MLP 0 …, POOL.MLP
  std::vector<TraceMoments> cls_attn;  // [L], of the class token's attention to itself [E]
  TraceMoments embedding;              // of e [E]
  // Σ ⟨c − mean c, e − mean e⟩ for each component [L·H + L+1]: their sum is the embedding's trace.
  std::vector<double> shared;
};

// The figures of a store, from its exact sums.
class Statistics {
 public:
  Statistics() = default;
  // Throws Error(kUnsupported) for sums that no pictures can have.
  Statistics(const StatisticsSums& sums, const Basis& basis);

  Index images() const;
  Index layers() const { return components_.layers(); }
  Index heads() const { return components_.heads_a_layer(); }
  Components components() const { return components_; }
  Index factor_width() const { return factor_width_; }
  Index embed_width() const { return embed_width_; }
  Index slices() const { return static_cast<Index>(slices_.size()); }
  const SliceStatistics& slice(Index s) const { return At(slices_, s); }

  // All slices together.
  SliceStatistics Total(const Basis& basis) const;
  // With the scatter, of all pictures and of each slice. Where sums have traces alone, the factors
  // are read (UseFactors); Error(kUnsupported) for a store that has none.
  Moments HeadMoments(HeadId id) const;
  std::vector<Moments> HeadMomentsOfSlices(HeadId id) const;

  // Where scatters come from that sums do not have: the moments of a head's factors by slice.
  using FactorMoments = std::function<std::vector<Moments>(HeadId)>;
  void UseFactors(FactorMoments moments) { of_factors_ = std::move(moments); }

 private:
  Components components_;
  Index factor_width_ = 0, embed_width_ = 0;
  std::vector<SliceStatistics> slices_;
  bool traces_ = false;
  FactorMoments of_factors_;
};

}  // namespace cliplens
