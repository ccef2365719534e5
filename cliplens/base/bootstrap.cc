#include "cliplens/base/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// The value below which `share` of `sorted` lies, between neighbours in proportion.
double Percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Bootstrap::Bootstrap(Index blocks, Index draws, std::uint64_t seed) : blocks_(blocks) {
  if (blocks < 1 || draws < 1) {
    throw Error(ErrorCode::kInvalidArgument, "bootstrap: {} draws of {} blocks", draws, blocks);
  }
  // The engine's numbers are laid down by the standard, those of its distributions are not.
  std::mt19937_64 engine(seed);
  weights_.assign(static_cast<std::size_t>(draws * blocks), 0);
  for (Index draw = 0; draw < draws; ++draw) {
    for (Index b = 0; b < blocks; ++b) {
      const auto taken = static_cast<Index>(engine() % static_cast<std::uint64_t>(blocks));
      ++weights_[static_cast<std::size_t>(draw * blocks + taken)];
    }
  }
}

Estimate Bootstrap::Ratio(std::span<const double> numerator,
                          std::span<const double> denominator) const {
  const auto blocks = static_cast<std::size_t>(blocks_);
  if (numerator.size() != blocks || denominator.size() != blocks) {
    throw Error(ErrorCode::kInvalidArgument, "bootstrap: sums of {} and {} blocks, not {}",
                numerator.size(), denominator.size(), blocks);
  }
  double above = 0;
  double below = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    above += numerator[b];
    below += denominator[b];
  }
  if (below <= 0) return {};
  Estimate estimate;
  estimate.value = above / below;
  // Draws are the figure and what they add to it: one picture, however often it is taken, adds
  // nothing, to the bit.
  std::vector<double> rest(blocks);
  for (std::size_t b = 0; b < blocks; ++b) {
    rest[b] = numerator[b] - estimate.value * denominator[b];
  }
  std::vector<double> draws;
  for (std::size_t first = 0; first < weights_.size(); first += blocks) {
    double added = 0;
    double drawn = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      added += weights_[first + b] * rest[b];
      drawn += weights_[first + b] * denominator[b];
    }
    if (drawn > 0) draws.push_back(estimate.value + added / drawn);
  }
  std::ranges::sort(draws);
  estimate.low = draws.empty() ? estimate.value : Percentile(draws, 0.025);
  estimate.high = draws.empty() ? estimate.value : Percentile(draws, 0.975);
  return estimate;
}

Estimate Bootstrap::Of(std::span<const std::vector<double>> columns, const Figure& figure) const {
  return Of(columns, std::span(&figure, 1)).front();
}

std::vector<Estimate> Bootstrap::Of(std::span<const std::vector<double>> columns,
                                    std::span<const Figure> figures) const {
  const auto blocks = static_cast<std::size_t>(blocks_);
  // Blocks one below the other, so that a draw adds whole rows.
  std::vector<double> rows(blocks * columns.size());
  std::vector<double> sums(columns.size(), 0.0);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (columns[c].size() != blocks) {
      throw Error(ErrorCode::kInvalidArgument, "bootstrap: sums of {} blocks, not {}",
                  columns[c].size(), blocks);
    }
    for (std::size_t b = 0; b < blocks; ++b) {
      rows[b * columns.size() + c] = columns[c][b];
      sums[c] += columns[c][b];
    }
  }
  std::vector<Estimate> estimates(figures.size());
  for (std::size_t f = 0; f < figures.size(); ++f) estimates[f].value = figures[f](sums);
  std::vector<std::vector<double>> draws(figures.size());
  for (std::size_t first = 0; first < weights_.size(); first += blocks) {
    std::ranges::fill(sums, 0.0);
    for (std::size_t b = 0; b < blocks; ++b) {
      const double weight = weights_[first + b];
      if (weight == 0) continue;
      const double* row = rows.data() + b * columns.size();
      for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += weight * row[c];
    }
    for (std::size_t f = 0; f < figures.size(); ++f) {
      const double drawn = figures[f](sums);
      if (!std::isnan(drawn)) draws[f].push_back(drawn);
    }
  }
  for (std::size_t f = 0; f < figures.size(); ++f) {
    Estimate& estimate = estimates[f];
    std::ranges::sort(draws[f]);
    estimate.low = draws[f].empty() ? estimate.value : Percentile(draws[f], 0.025);
    estimate.high = draws[f].empty() ? estimate.value : Percentile(draws[f], 0.975);
  }
  return estimates;
}

}  // namespace cliplens
