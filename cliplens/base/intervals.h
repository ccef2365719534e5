// Bounds of 95 % for few observations: of shares, of paired differences, of means, and of figures
// by the jackknife.
//
//   const PairedCounts counts{.both = 80, .first = 5, .second = 12, .neither = 3};
//   const Estimate before = WilsonShare(85, 100);
//   const Estimate gain = PairedDifference(counts);   // 0.07: second minus first
//   Print(gain.low, gain.high, McNemar(counts));
//
// docs/compare.md says why these and not others.
#pragma once

#include <optional>
#include <span>

#include "cliplens/base/bootstrap.h"
#include "cliplens/base/index.h"

namespace cliplens {

// The 97.5th percentile of Student's t with this many degrees of freedom, 1 or more; within 1e-3.
double StudentQuantile(Index freedom);

// `count` of `of`, by Wilson's score interval ("Probable Inference, the Law of Succession, and
// Statistical Inference", 1927). Throws Error(kInvalidArgument) unless 0 ≤ count ≤ of and of > 0.
Estimate WilsonShare(Index count, Index of);

// What happened to each observation under two conditions.
struct PairedCounts {
  Index both = 0;     // a success under both
  Index first = 0;    // under the first alone
  Index second = 0;   // under the second alone
  Index neither = 0;  // under neither
  Index total() const { return both + first + second + neither; }
};
// The share of successes under the second minus that under the first. The bounds are Newcombe's
// square-and-add interval of Wilson's scores for paired data, with the correlation corrected for
// continuity ("Improved confidence intervals for the difference between binomial proportions based
// on paired data", 1998, method 10). Throws Error(kInvalidArgument) without observations.
Estimate PairedDifference(const PairedCounts& counts);
// McNemar's exact test: the probability, if both conditions are alike, that the observations that
// changed are split as unevenly as this or more, to either side. 1 where none changed.
double McNemar(const PairedCounts& counts);

// The mean with 1.96 or more standard errors by Student's t. Nothing for fewer than two values.
std::optional<Estimate> MeanWithBounds(std::span<const double> values);

// A figure with bounds by the jackknife: `without` has the figure without each block of
// observations in turn, for blocks of equal size; the bounds are the standard error times
// StudentQuantile. Nothing for fewer than two blocks, or where a figure is not finite.
std::optional<Estimate> Jackknife(double value, std::span<const double> without);
// The same for a figure in [−1, 1] such as a correlation. The error is taken on Fisher's scale,
// artanh, on which it is nearly normal; so the bounds stay inside [−1, 1]. A figure of ±1 that no
// block changes has no error.
std::optional<Estimate> JackknifeCorrelation(double value, std::span<const double> without);

}  // namespace cliplens
