#include "cliplens/base/intervals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

constexpr double kNormal = 1.959963984540054;
// Closer to ±1 than this is ±1.
constexpr double kOne = 1 - 1e-12;

double StandardError(std::span<const double> without) {
  const auto n = static_cast<double>(without.size());
  double mean = 0;
  for (const double v : without) mean += v / n;
  double squares = 0;
  for (const double v : without) squares += (v - mean) * (v - mean);
  return std::sqrt((n - 1) / n * squares);
}

bool AllFinite(double value, std::span<const double> without) {
  return std::isfinite(value) &&
         std::ranges::all_of(without, [](double v) { return std::isfinite(v); });
}

}  // namespace

double StudentQuantile(Index freedom) {
  constexpr std::array<double, 10> kTable = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                             2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
  if (freedom < 1) {
    throw Error(ErrorCode::kInvalidArgument, "Student's t of {} degrees of freedom", freedom);
  }
  if (freedom <= std::ssize(kTable)) return kTable[ToSize(freedom - 1)];
  // The expansion of Cornish and Fisher about the normal distribution.
  const double z = kNormal, z2 = z * z, v = static_cast<double>(freedom);
  return z + z * (z2 + 1) / (4 * v) + z * ((5 * z2 + 16) * z2 + 3) / (96 * v * v) +
         z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * v * v * v);
}

Estimate WilsonShare(Index count, Index of) {
  if (of < 1 || count < 0 || count > of) {
    throw Error(ErrorCode::kInvalidArgument, "a share of {} of {}", count, of);
  }
  const auto n = static_cast<double>(of);
  const double p = static_cast<double>(count) / n;
  const double z2 = kNormal * kNormal;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormal * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  // Where all or none are successes, the bound is that share, which rounding may miss.
  return {.value = p,
          .low = count == 0 ? 0 : std::max(0.0, middle - half),
          .high = count == of ? 1 : std::min(1.0, middle + half)};
}

Estimate PairedDifference(const PairedCounts& counts) {
  const Index total = counts.total();
  const Estimate first = WilsonShare(counts.both + counts.first, total);
  const Estimate second = WilsonShare(counts.both + counts.second, total);
  const auto n = static_cast<double>(total);
  const auto product = [](Index x, Index y) {
    return static_cast<double>(x) * static_cast<double>(y);
  };
  const double margins = product(counts.both + counts.first, counts.second + counts.neither) *
                         product(counts.both + counts.second, counts.first + counts.neither);
  double phi = 0;
  if (margins > 0) {
    const double cross =
        product(counts.both, counts.neither) - product(counts.first, counts.second);
    phi = (cross > 0 ? std::max(cross - n / 2, 0.0) : cross) / std::sqrt(margins);
  }
  const auto added = [&](double x, double y) {
    return std::sqrt(std::max(0.0, x * x - 2 * phi * x * y + y * y));
  };
  const double value = static_cast<double>(counts.second - counts.first) / n;
  return {.value = value,
          .low = value - added(second.value - second.low, first.high - first.value),
          .high = value + added(second.high - second.value, first.value - first.low)};
}

double McNemar(const PairedCounts& counts) {
  const Index changed = counts.first + counts.second;
  const Index fewer = std::min(counts.first, counts.second);
  if (2 * fewer == changed) return 1;
  double log_term = -static_cast<double>(changed) * std::log(2.0);
  double tail = std::exp(log_term);
  for (Index k = 1; k <= fewer; ++k) {
    log_term += std::log(static_cast<double>(changed - k + 1) / static_cast<double>(k));
    tail += std::exp(log_term);
  }
  return std::min(1.0, 2 * tail);
}

std::optional<Estimate> MeanWithBounds(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(values.size());
  Estimate mean;
  for (const double v : values) mean.value += v / n;
  double squares = 0;
  for (const double v : values) squares += (v - mean.value) * (v - mean.value);
  const double half = StudentQuantile(std::ssize(values) - 1) * std::sqrt(squares / (n - 1) / n);
  mean.low = mean.value - half;
  mean.high = mean.value + half;
  return mean;
}

std::optional<Estimate> Jackknife(double value, std::span<const double> without) {
  if (without.size() < 2 || !AllFinite(value, without)) return std::nullopt;
  const double half = StudentQuantile(std::ssize(without) - 1) * StandardError(without);
  return Estimate{.value = value, .low = value - half, .high = value + half};
}

std::optional<Estimate> JackknifeCorrelation(double value, std::span<const double> without) {
  if (without.size() < 2 || !AllFinite(value, without)) return std::nullopt;
  value = std::clamp(value, -1.0, 1.0);
  if (std::abs(value) >= kOne &&
      std::ranges::all_of(without, [&](double v) { return std::abs(v - value) <= 1 - kOne; })) {
    return Estimate{.value = value, .low = value, .high = value};
  }
  const auto fisher = [](double r) { return std::atanh(std::clamp(r, -kOne, kOne)); };
  std::vector<double> on_scale;
  for (const double v : without) on_scale.push_back(fisher(v));
  const double half = StudentQuantile(std::ssize(without) - 1) * StandardError(on_scale);
  const double at = fisher(value);
  return Estimate{.value = value,
                  .low = std::min(value, std::tanh(at - half)),
                  .high = std::max(value, std::tanh(at + half))};
}

}  // namespace cliplens
