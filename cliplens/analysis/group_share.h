// How much of a head's variance lies between groups of pictures.
//
//   const HeadRows rows = ReadHeadRows(store, {5, 2}, store.ReadLn(numbers), numbers);
//   const double share = ShareOf(rows, grouping);
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Pictures in groups.
struct Grouping {
  Index groups = 0;
  std::vector<std::int32_t> group_of;  // [B], in [0, groups)
};

// A head's contributions about their mean, in orthonormal coordinates: ⟨y, y'⟩ is the product of
// the centred contributions.
struct HeadRows {
  Matrix y;          // [B, r]
  double total = 0;  // Σ |y|²; 0 if it is rounding alone
};
// The rows of the pictures with these numbers. ln: [pictures, 3] as Store::ReadLn gives it.
HeadRows ReadHeadRows(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                      std::span<const Index> pictures);
// The same where the head's coordinates are needed too.
HeadRows ReadHeadRows(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                      std::span<const Index> pictures, const HeadCoordinates& coordinates);
// The rows with these indices, about their own mean.
HeadRows SomeRows(const HeadRows& rows, std::span<const Index> which);

// The share of the variance between groups, corrected for their number as adjusted R² is:
// 1 − (within / (n − groups)) / (total / (n − 1)). Groups without pictures do not count; 0 where
// there are not more pictures than groups, or no variance.
double CorrectedShare(double total, double between, double count, Index groups);
double ShareOf(const HeadRows& rows, const Grouping& grouping);

// The rows without what the groups' means explain.
HeadRows Within(const HeadRows& rows, const Grouping& grouping);

// Sums of groups [G, r] and their numbers of pictures.
struct GroupSums {
  Matrix sums;
  std::vector<double> counts;
  GroupSums(Index groups, Index width)
      : sums(Matrix::Zero(groups, width)), counts(ToSize(groups), 0.0) {}
};
GroupSums SumGroups(const HeadRows& rows, const Grouping& grouping);

// Shares on parts of the pictures, from sums by group and slice.
class SlicedShare {
 public:
  // slice [B], in [0, slices).
  SlicedShare(const HeadRows& rows, const Grouping& grouping, std::span<const std::int32_t> slice,
              Index slices);
  // The share on the slices for which `in` is true.
  double Share(const std::vector<bool>& in) const;
  // The share on all pictures, with bounds of 95 %: 1.96 standard errors by the jackknife, which
  // leaves out each slice in turn. (A bootstrap would put a picture into a group twice, which
  // raises the share.)
  Estimate Jackknife() const;

 private:
  std::vector<GroupSums> sums_;  // [S]
  GroupSums all_;                // of all slices
  std::vector<double> squares_;  // [S]: Σ |y|²
};

}  // namespace cliplens
