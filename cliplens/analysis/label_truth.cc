#include "cliplens/analysis/label_truth.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/dataset/labels.h"

namespace cliplens {
namespace {

constexpr Index kTruthSlices = 20;
constexpr Index kBins = 10;

}  // namespace

std::vector<Factor> KnownFactors(std::span<const Item> items,
                                 std::span<const std::string> attributes,
                                 std::span<const Index> pictures) {
  std::vector<Factor> factors;
  for (const std::string& attribute : attributes) {
    Factor factor;
    factor.name = attribute;
    std::map<std::string, std::int32_t> number;
    for (const Index picture : pictures) {
      const std::optional<std::string> value = LabelOf(At(items, picture), attribute);
      if (!value) {
        factor.value_of.push_back(-1);
        continue;
      }
      const auto [at, added] =
          number.emplace(*value, static_cast<std::int32_t>(factor.values.size()));
      if (added) factor.values.push_back(*value);
      factor.value_of.push_back(at->second);
    }
    if (factor.values.size() < 2) {
      throw Error(
          factor.values.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
          "factors: {} as the attribute '{}'; a factor is an attribute of the pictures with "
          "at least two values",
          factor.values.empty() ? "no picture has anything" : "every picture has the same value",
          attribute);
    }
    factors.push_back(std::move(factor));
  }
  return factors;
}

std::vector<HeadTruth> TruthOfHeads(const Store& store, const std::vector<HeadId>& heads,
                                    const std::vector<Factor>& factors,
                                    std::span<const Index> pictures, int threads) {
  const Array<float, 2> ln = store.ReadLn(pictures);
  std::vector<std::int32_t> slice;
  for (const Item& item : store.ReadItems(pictures)) {
    slice.push_back(static_cast<std::int32_t>(SliceOf(item.path, kTruthSlices)));
  }
  // The pictures on which a factor is known, and their groups and slices.
  struct Known {
    std::vector<Index> rows;
    Grouping grouping;
    std::vector<std::int32_t> slice;
  };
  std::vector<Known> known;
  for (const Factor& factor : factors) {
    Known k;
    k.grouping.groups = static_cast<Index>(factor.values.size());
    for (std::size_t b = 0; b < factor.value_of.size(); ++b) {
      if (factor.value_of[b] < 0) continue;
      k.rows.push_back(static_cast<Index>(b));
      k.grouping.group_of.push_back(factor.value_of[b]);
      k.slice.push_back(slice[b]);
    }
    known.push_back(std::move(k));
  }
  std::vector<HeadTruth> truth(heads.size());
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    HeadTruth& head = At(truth, i);
    head.id = At(heads, i);
    const HeadRows rows = ReadHeadRows(store, head.id, ln, pictures);
    head.variance = pictures.empty() ? 0 : rows.total / static_cast<double>(pictures.size());
    for (const Known& k : known) {
      const HeadRows some = SomeRows(rows, k.rows);
      head.shares.push_back(SlicedShare(some, k.grouping, k.slice, kTruthSlices).Jackknife());
    }
    if (rows.total == 0) return;
    const auto better = [&](Index a, Index b) {
      return b < 0 || At(head.shares, a).value > At(head.shares, b).value;
    };
    for (Index f = 0; f < static_cast<Index>(factors.size()); ++f) {
      if (better(f, head.first)) {
        head.second = head.first;
        head.first = f;
      } else if (better(f, head.second)) {
        head.second = f;
      }
    }
    if (head.first < 0) return;
    const double second = head.second < 0 ? 0 : At(head.shares, head.second).value;
    head.clear = At(head.shares, head.first).value >= 2 * std::max(0.0, second);
  });
  return truth;
}

LabelEvaluation EvaluateLabels(const std::vector<HeadLabel>& labels, const PropertyTable& table,
                               const std::vector<Factor>& factors,
                               const std::vector<HeadTruth>& truth) {
  if (labels.size() != truth.size()) {
    throw Error(ErrorCode::kInvalidArgument, "evaluation: {} labels, the truth of {} heads",
                labels.size(), truth.size());
  }
  LabelEvaluation e;
  double variance = 0, right = 0, labelled = 0;
  std::vector<double> by_first(factors.size(), 0.0);
  std::vector<ReliabilityBin> bins(kBins);
  Index with_label = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const HeadLabel& label = labels[i];
    const HeadTruth& head = truth[i];
    if (head.first < 0) continue;
    ++e.heads;
    variance += head.variance;
    At(by_first, head.first) += head.variance;
    if (head.clear) ++e.clear;
    const bool guessed =
        label.guess >= 0 && At(table.names, label.guess) == At(factors, head.first).name;
    if (guessed) {
      ++e.guesses_right;
      e.fidelity_of_guesses += head.variance;
      if (head.clear) ++e.clear_guesses_right;
    }
    if (label.label < 0) {
      ++e.abstained;
      e.abstained_variance += head.variance;
      continue;
    }
    ++with_label;
    labelled += head.variance;
    const bool is_right = At(table.names, label.label) == At(factors, head.first).name;
    if (is_right) {
      ++e.right;
      right += head.variance;
      if (head.clear) ++e.clear_right;
    }
    const auto at =
        ToSize(std::clamp<Index>(static_cast<Index>(label.confidence * kBins), 0, kBins - 1));
    ReliabilityBin& bin = bins[at];
    ++bin.heads;
    bin.confidence += label.confidence;
    bin.right += is_right ? 1 : 0;
    e.mean_confidence += label.confidence;
  }
  if (variance > 0) {
    e.fidelity = right / variance;
    e.fidelity_of_guesses /= variance;
    e.abstained_variance /= variance;
    e.commonest = *std::ranges::max_element(by_first) / variance;
  }
  if (labelled > 0) e.fidelity_of_labelled = right / labelled;
  if (with_label > 0) e.mean_confidence /= static_cast<double>(with_label);
  for (Index b = 0; b < kBins; ++b) {
    ReliabilityBin& bin = At(bins, b);
    if (bin.heads == 0) continue;
    const auto heads = static_cast<double>(bin.heads);
    bin.low = static_cast<double>(b) / kBins;
    bin.high = static_cast<double>(b + 1) / kBins;
    bin.confidence /= heads;
    bin.right /= heads;
    e.calibration_error +=
        heads / static_cast<double>(with_label) * std::abs(bin.confidence - bin.right);
    e.bins.push_back(bin);
  }
  return e;
}

}  // namespace cliplens
