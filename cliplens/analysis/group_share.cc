#include "cliplens/analysis/group_share.h"

#include <algorithm>
#include <cmath>

#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// Variance below this share of the second moment about zero is rounding of fp32 factors.
constexpr double kRoundingShare = 1e-12;

// Rows about their mean, in place.
void Center(HeadRows& rows) {
  const double about_zero = rows.y.squaredNorm();
  if (rows.y.rows() > 0) rows.y.rowwise() -= rows.y.colwise().mean().eval();
  rows.total = rows.y.squaredNorm();
  if (rows.total <= kRoundingShare * about_zero) rows.total = 0;
}

}  // namespace

HeadRows ReadHeadRows(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                      std::span<const Index> pictures) {
  return ReadHeadRows(store, id, ln, pictures, CoordinatesOf(store.basis().at(id)));
}

HeadRows ReadHeadRows(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                      std::span<const Index> pictures, const HeadCoordinates& coordinates) {
  HeadRows rows;
  rows.y = nn::Product(nn::Of(FactorsOf(store.basis().layout(), store.ReadHead(id, pictures), ln)),
                       nn::Of(coordinates.from_factor).Transposed());
  Center(rows);
  return rows;
}

HeadRows SomeRows(const HeadRows& rows, std::span<const Index> which) {
  HeadRows some;
  some.y.resize(static_cast<Index>(which.size()), rows.y.cols());
  for (std::size_t i = 0; i < which.size(); ++i) {
    some.y.row(static_cast<Index>(i)) = rows.y.row(which[i]);
  }
  Center(some);
  if (rows.total == 0) some.total = 0;
  return some;
}

double CorrectedShare(double total, double between, double count, Index groups) {
  const double freedom = count - static_cast<double>(groups);
  if (total <= 0 || freedom <= 0) return 0;
  return 1 - (total - between) / freedom / (total / (count - 1));
}

GroupSums SumGroups(const HeadRows& rows, const Grouping& grouping) {
  GroupSums sums(grouping.groups, rows.y.cols());
  for (Index b = 0; b < rows.y.rows(); ++b) {
    const Index g = At(grouping.group_of, b);
    sums.sums.row(g) += rows.y.row(b);
    At(sums.counts, g) += 1;
  }
  return sums;
}

double ShareOf(const HeadRows& rows, const Grouping& grouping) {
  const GroupSums sums = SumGroups(rows, grouping);
  double between = 0;
  Index groups = 0;
  for (Index g = 0; g < grouping.groups; ++g) {
    const double count = At(sums.counts, g);
    if (count == 0) continue;
    ++groups;
    between += sums.sums.row(g).squaredNorm() / count;
  }
  return CorrectedShare(rows.total, between, static_cast<double>(rows.y.rows()), groups);
}

HeadRows Within(const HeadRows& rows, const Grouping& grouping) {
  const GroupSums sums = SumGroups(rows, grouping);
  HeadRows rest = rows;
  for (Index b = 0; b < rows.y.rows(); ++b) {
    const Index g = At(grouping.group_of, b);
    rest.y.row(b) -= sums.sums.row(g) / At(sums.counts, g);
  }
  rest.total = rows.total > 0 ? rest.y.squaredNorm() : 0.0;
  return rest;
}

SlicedShare::SlicedShare(const HeadRows& rows, const Grouping& grouping,
                         std::span<const std::int32_t> slice, Index slices)
    : sums_(ToSize(slices), GroupSums(grouping.groups, rows.y.cols())),
      all_(grouping.groups, rows.y.cols()),
      squares_(ToSize(slices), 0.0) {
  for (Index b = 0; b < rows.y.rows(); ++b) {
    const auto s = ToSize(At(slice, b));
    const Index g = At(grouping.group_of, b);
    sums_[s].sums.row(g) += rows.y.row(b);
    At(sums_[s].counts, g) += 1;
    if (rows.total > 0) squares_[s] += rows.y.row(b).squaredNorm();
  }
  for (const GroupSums& of_slice : sums_) {
    all_.sums += of_slice.sums;
    for (std::size_t g = 0; g < all_.counts.size(); ++g) all_.counts[g] += of_slice.counts[g];
  }
}

double SlicedShare::Share(const std::vector<bool>& in) const {
  // The slices that are in are added up, or those that are not taken from the whole, whichever are
  // fewer.
  double square = 0;
  std::vector<std::size_t> in_list, out_list;
  for (std::size_t s = 0; s < sums_.size(); ++s) {
    if (in[s]) square += squares_[s];
    (in[s] ? in_list : out_list).push_back(s);
  }
  const bool add = in_list.size() < out_list.size();
  const std::vector<std::size_t>& list = add ? in_list : out_list;
  const double sign = add ? 1 : -1;
  const Index width = all_.sums.cols();
  RowVector sum(width);
  RowVector total = RowVector::Zero(width);
  double count = 0, between = 0;
  Index groups = 0;
  for (Index g = 0; g < all_.sums.rows(); ++g) {
    double pictures = add ? 0 : At(all_.counts, g);
    if (add) {
      sum.setZero();
    } else {
      sum = all_.sums.row(g);
    }
    for (const std::size_t s : list) {
      const double some = At(sums_[s].counts, g);
      if (some == 0) continue;
      sum += sign * sums_[s].sums.row(g);
      pictures += sign * some;
    }
    if (pictures == 0) continue;
    ++groups;
    between += sum.squaredNorm() / pictures;
    total += sum;
    count += pictures;
  }
  if (count == 0) return 0;
  const double of_mean = total.squaredNorm() / count;
  return CorrectedShare(square - of_mean, between - of_mean, count, groups);
}

Estimate SlicedShare::Jackknife() const {
  std::vector<bool> in(sums_.size(), true);
  Estimate estimate;
  estimate.value = estimate.low = estimate.high = Share(in);
  std::vector<double> without;
  for (std::size_t s = 0; s < sums_.size(); ++s) {
    if (std::ranges::all_of(sums_[s].counts, [](double n) { return n == 0; })) continue;
    in[s] = false;
    without.push_back(Share(in));
    in[s] = true;
  }
  if (without.size() < 2) return estimate;
  const auto n = static_cast<double>(without.size());
  double mean = 0;
  for (const double share : without) mean += share / n;
  double squares = 0;
  for (const double share : without) squares += (share - mean) * (share - mean);
  const double error = std::sqrt((n - 1) / n * squares);
  estimate.low -= 1.96 * error;
  estimate.high += 1.96 * error;
  return estimate;
}

}  // namespace cliplens
