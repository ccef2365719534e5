#include "cliplens/analysis/label_confidence.h"

#include <algorithm>
#include <cmath>

#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// How fast evidence makes up for what turned texts explain; chosen on two small trained models, and
// held beside other ways by bench/truth/rankers.py.
constexpr double kByAlignment = 3, kByPeak = 6;

constexpr double kFew = 8, kMany = 1500;  // pictures
constexpr double kScarce = 6;             // properties
constexpr double kLeastShare = 1e-3;      // shares below are noise
// Coefficients of the confidence: bench/truth/calibrate.py.
constexpr double kIntercept = -2.812, kShare = 0.852, kSignificance = 0.139, kHead = 1.015,
                 kPeak = 8.948, kPeakTexts = 4.163, kTable = 1.085, kProperties = -0.087,
                 kFewProperties = 0.234, kScarceShare = -0.353, kScarceHead = -0.849,
                 kScarcePeak = -3.767, kFewOnce = -0.637, kFewTwice = -0.075, kFewShare = -0.568,
                 kFewStability = 0.972, kFewHead = 1.072, kFewPeak = -4.52, kFewTable = -1.848;

}  // namespace

double AlignmentOf(const Matrix& texts, const Matrix& covariance, Index width) {
  const double total = covariance.trace();
  if (total <= 0 || texts.rows() == 0) return 0;
  const double along = nn::Product(nn::Of(texts), nn::Of(covariance)).cwiseProduct(texts).sum();
  return along / static_cast<double>(texts.rows()) / total * static_cast<double>(width);
}

double TurnedPart(const TextEvidence& evidence) {
  return std::exp(-kByPeak * std::max(evidence.peak, 0.0)) /
         std::pow(std::max(evidence.alignment, 1.0), kByAlignment);
}

double ErrorOfShare(double images, double groups, double directions) {
  const double freedom = images - groups;
  if (groups < 2 || freedom <= 0 || directions <= 0) return 1;
  const double variance =
      2 * (groups - 1) * freedom / ((images - 1) * (images - 1) * (images + 1)) / directions;
  return std::sqrt(variance) * (images - 1) / freedom;
}

double ConfidenceOf(const LabelFigures& f) {
  // From 1 at eight pictures and fewer to 0 at kMany and more.
  const double few =
      std::clamp(std::log(kMany / std::max(f.images, 1.0)) / std::log(kMany / kFew), 0.0, 1.0);
  const double share = std::log(std::max(f.net, kLeastShare));
  const double significance =
      std::clamp(std::log(std::max(f.share, kLeastShare) / std::max(f.error, 1e-4)), -2.0, 6.0);
  const double head = std::clamp(std::log(f.head_alignment + 0.05), -1.0, 2.0);
  const double texts = std::clamp(std::log(f.text_alignment + 0.05), 0.0, 1.5);
  const double peak = std::clamp(f.text_peak, 0.0, 0.5);
  const double table = std::clamp(f.table_alignment, 0.0, 1.5);
  const double properties = std::max(f.properties, 2.0);
  const double scarce = std::log(std::max(1.0, kScarce / properties));
  const double logit =
      kIntercept + kShare * share + kSignificance * significance + kHead * head + kPeak * peak +
      kPeakTexts * peak * texts + kTable * table + kProperties * std::log(properties) +
      scarce * (kFewProperties + kScarceShare * share + kScarceHead * head + kScarcePeak * peak) +
      few * (kFewOnce + kFewTwice * few + kFewShare * share + kFewStability * f.stability +
             kFewHead * head + kFewPeak * peak + kFewTable * table);
  return 1 / (1 + std::exp(-logit));
}

}  // namespace cliplens
