// Compares labels of heads with known factors of the pictures.
//
//   const std::vector<std::string> names = {"object", "style"};
//   const std::vector<Factor> factors = KnownFactors(store.ReadItems(), names, numbers);
//   const std::vector<HeadTruth> truth = TruthOfHeads(store, heads, factors, numbers, threads);
//   const LabelEvaluation e = EvaluateLabels(labels, table, factors, truth);
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/analysis/group_share.h"
#include "cliplens/analysis/head_labels.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// A known factor of pictures: an attribute with its values.
struct Factor {
  std::string name;
  std::vector<std::string> values;
  std::vector<std::int32_t> value_of;  // value of each picture [B], −1 where it has none
};
// The factors of the pictures with these numbers. Throws Error(kNotFound) for an attribute that
// none has, and Error(kInvalidArgument) for one with the same value everywhere.
std::vector<Factor> KnownFactors(std::span<const Item> items,
                                 std::span<const std::string> attributes,
                                 std::span<const Index> pictures);

struct HeadTruth {
  HeadId id;
  double variance = 0;           // trace of the head's covariance
  std::vector<Estimate> shares;  // of each factor, of the head's variance, corrected
  Index first = -1;              // the factor with the largest share; −1: no variance
  Index second = -1;
  // The first factor's share is at least twice the second's.
  bool clear = false;
};
// The share of a head's variance that lies between the values of each factor, over the pictures
// that have one, as adjusted R²; bounds by the jackknife over 20 slices.
std::vector<HeadTruth> TruthOfHeads(const Store& store, const std::vector<HeadId>& heads,
                                    const std::vector<Factor>& factors,
                                    std::span<const Index> pictures, int threads);

struct ReliabilityBin {
  double low = 0, high = 0;  // of the confidence
  Index heads = 0;
  double confidence = 0;  // mean
  double right = 0;       // share
};

struct LabelEvaluation {
  Index heads = 0;  // with variance
  Index right = 0;  // whose label is the first factor
  Index abstained = 0;
  Index clear = 0;
  Index clear_right = 0;
  Index guesses_right = 0;          // of the heads with a label and of those without
  Index clear_guesses_right = 0;    // of the clear heads
  double fidelity = 0;              // share of the heads' variance whose label is right
  double fidelity_of_labelled = 0;  // the same among heads with a label
  double fidelity_of_guesses = 0;   // share of the heads' variance whose guess is right
  double abstained_variance = 0;    // share of variance without a label
  double commonest = 0;             // fidelity of the commonest first factor as the only label
  double calibration_error = 0;     // expected, over ten bins of confidence, of heads with a label
  double mean_confidence = 0;
  std::vector<ReliabilityBin> bins;  // with heads
};
// labels[i] goes with truth[i]. A label is right when its property has the first factor's name.
LabelEvaluation EvaluateLabels(const std::vector<HeadLabel>& labels, const PropertyTable& table,
                               const std::vector<Factor>& factors,
                               const std::vector<HeadTruth>& truth);

}  // namespace cliplens
