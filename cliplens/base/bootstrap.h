// Bootstrap bounds of figures that are sums over pictures, or ratios of such sums.
//
//   const Bootstrap bootstrap;   // pictures are resampled block by block
//   const std::vector<double> correct(100, 7.0), counted(100, 8.0);   // of each block
//   const Estimate accuracy = bootstrap.Ratio(correct, counted);
//   Print(accuracy.value, accuracy.low, accuracy.high);
//
// A hash puts each picture into a block, so a block is a random sample. A draw takes as many blocks
// as there are, with replacement. All figures share the draws, which are the same on every machine.
// A figure costs draws x blocks additions, however many pictures there are.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// A figure and its 95 % bounds: 2.5th and 97.5th percentile of the draws.
struct Estimate {
  double value = 0;
  double low = 0;
  double high = 0;
};

inline constexpr Index kBootstrapBlocks = 100;
inline constexpr Index kBootstrapDraws = 1000;

class Bootstrap {
 public:
  explicit Bootstrap(Index blocks = kBootstrapBlocks, Index draws = kBootstrapDraws,
                     std::uint64_t seed = 1);
  Index blocks() const { return blocks_; }
  // Σ numerator / Σ denominator, both [blocks]. Draws whose denominators sum to 0 are skipped. If
  // all denominators are 0, so is the figure.
  Estimate Ratio(std::span<const double> numerator, std::span<const double> denominator) const;
  // The same of several figures, numerators[i] and denominators[i].
  std::vector<Estimate> Ratios(std::span<const std::vector<double>> numerators,
                               std::span<const std::vector<double>> denominators) const;
  // Any figure of sums over pictures. `figure` gets the sums of `columns` (each [blocks]), first
  // over all pictures, then over each draw. Draws for which it returns NaN are skipped.
  using Figure = std::function<double(std::span<const double> sums)>;
  Estimate Of(std::span<const std::vector<double>> columns, const Figure& figure) const;
  // Several figures of the same sums.
  std::vector<Estimate> Of(std::span<const std::vector<double>> columns,
                           std::span<const Figure> figures) const;

 private:
  Index blocks_;
  std::vector<std::uint16_t> weights_;  // [draws, blocks]: how often a block is taken
};

}  // namespace cliplens
