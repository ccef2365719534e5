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
  const auto ratio = [&](auto weight) {
    double above = 0;
    double below = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      above += weight(b) * numerator[b];
      below += weight(b) * denominator[b];
    }
    return below > 0 ? above / below : std::nan("");
  };
  Estimate estimate;
  estimate.value = ratio([](std::size_t) { return 1.0; });
  if (std::isnan(estimate.value)) return {};
  std::vector<double> draws;
  for (std::size_t first = 0; first < weights_.size(); first += blocks) {
    const double value = ratio([&](std::size_t b) { return double{1} * weights_[first + b]; });
    if (!std::isnan(value)) draws.push_back(value);
  }
  std::ranges::sort(draws);
  estimate.low = draws.empty() ? estimate.value : Percentile(draws, 0.025);
  estimate.high = draws.empty() ? estimate.value : Percentile(draws, 0.975);
  return estimate;
}

}  // namespace cliplens
