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
  const auto below = ToSize(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// Sorts the draws; without any the bounds are the figure itself.
void Bounds(std::vector<double>& draws, Estimate& estimate) {
  std::ranges::sort(draws);
  estimate.low = draws.empty() ? estimate.value : Percentile(draws, 0.025);
  estimate.high = draws.empty() ? estimate.value : Percentile(draws, 0.975);
}

}  // namespace

Bootstrap::Bootstrap(Index blocks, Index draws, std::uint64_t seed) : blocks_(blocks) {
  if (blocks < 1 || draws < 1) {
    throw Error(ErrorCode::kInvalidArgument, "bootstrap: {} draws of {} blocks", draws, blocks);
  }
  // The standard fixes the engine's numbers, but not those of its distributions.
  std::mt19937_64 engine(seed);
  weights_.assign(ToSize(draws * blocks), 0);
  for (Index draw = 0; draw < draws; ++draw) {
    for (Index b = 0; b < blocks; ++b) {
      const auto taken = static_cast<Index>(engine() % static_cast<std::uint64_t>(blocks));
      ++At(weights_, draw * blocks + taken);
    }
  }
}

Estimate Bootstrap::Ratio(std::span<const double> numerator,
                          std::span<const double> denominator) const {
  const std::vector<double> above(numerator.begin(), numerator.end());
  const std::vector<double> below(denominator.begin(), denominator.end());
  return Ratios({&above, 1}, {&below, 1}).front();
}

std::vector<Estimate> Bootstrap::Ratios(std::span<const std::vector<double>> numerators,
                                        std::span<const std::vector<double>> denominators) const {
  const auto blocks = ToSize(blocks_);
  const std::size_t n = numerators.size();
  if (denominators.size() != n) {
    throw Error(ErrorCode::kInvalidArgument, "bootstrap: {} numerators, {} denominators", n,
                denominators.size());
  }
  std::vector<Estimate> estimates(n);
  // Blocks one below the other, so that a draw adds whole rows. A draw is summed as its difference
  // from the figure: if there is one picture, the difference is 0 to the bit, however often a draw
  // takes it.
  std::vector<double> rest(blocks * n), below(blocks * n);
  for (std::size_t i = 0; i < n; ++i) {
    if (numerators[i].size() != blocks || denominators[i].size() != blocks) {
      throw Error(ErrorCode::kInvalidArgument, "bootstrap: sums of {} and {} blocks, not {}",
                  numerators[i].size(), denominators[i].size(), blocks);
    }
    double of_all = 0;
    double all = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      of_all += numerators[i][b];
      all += denominators[i][b];
    }
    if (all <= 0) continue;
    estimates[i].value = of_all / all;
    for (std::size_t b = 0; b < blocks; ++b) {
      rest[b * n + i] = numerators[i][b] - estimates[i].value * denominators[i][b];
      below[b * n + i] = denominators[i][b];
    }
  }
  std::vector<std::vector<double>> draws(n);
  std::vector<double> added(n), drawn(n);
  for (std::size_t first = 0; first < weights_.size(); first += blocks) {
    std::ranges::fill(added, 0.0);
    std::ranges::fill(drawn, 0.0);
    for (std::size_t b = 0; b < blocks; ++b) {
      const double weight = weights_[first + b];
      if (weight == 0) continue;
      for (std::size_t i = 0; i < n; ++i) {
        added[i] += weight * rest[b * n + i];
        drawn[i] += weight * below[b * n + i];
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (drawn[i] > 0) draws[i].push_back(estimates[i].value + added[i] / drawn[i]);
    }
  }
  for (std::size_t i = 0; i < n; ++i) Bounds(draws[i], estimates[i]);
  return estimates;
}

Estimate Bootstrap::Of(std::span<const std::vector<double>> columns, const Figure& figure) const {
  return Of(columns, std::span(&figure, 1)).front();
}

std::vector<Estimate> Bootstrap::Of(std::span<const std::vector<double>> columns,
                                    std::span<const Figure> figures) const {
  const auto blocks = ToSize(blocks_);
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
  for (std::size_t f = 0; f < figures.size(); ++f) Bounds(draws[f], estimates[f]);
  return estimates;
}

}  // namespace cliplens
