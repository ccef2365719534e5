#include "cliplens/analysis/extremes.h"

#include <algorithm>
#include <numeric>

#include "cliplens/base/error.h"

namespace cliplens {

std::vector<Extremes> ExtremesOf(const Matrix& factors, const std::vector<Vector>& weights,
                                 Index count) {
  const Index images = factors.rows();
  const Index factor_width = factors.cols();
  std::vector<Extremes> results;
  for (const Vector& weight : weights) {
    if (weight.size() != factor_width) {
      throw Error(ErrorCode::kInvalidArgument,
                  "extremes: a weight of {} numbers for a factor of {}", weight.size(),
                  factor_width);
    }
    Vector scores = factors * weight;
    if (images > 0) scores.array() -= scores.mean();
    std::vector<Index> order(ToSize(images));
    std::iota(order.begin(), order.end(), Index{0});
    const auto take = static_cast<std::ptrdiff_t>(std::min(count, images));
    Extremes extremes;
    const auto collect = [&](auto before, std::vector<ScoredItem>& out) {
      std::partial_sort(order.begin(), order.begin() + take, order.end(), before);
      for (std::ptrdiff_t i = 0; i < take; ++i) {
        const Index item = At(order, i);
        out.push_back({item, scores[item]});
      }
    };
    collect(
        [&](Index a, Index b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; },
        extremes.highest);
    collect(
        [&](Index a, Index b) { return scores[a] != scores[b] ? scores[a] < scores[b] : a < b; },
        extremes.lowest);
    results.push_back(std::move(extremes));
  }
  return results;
}

void KeepBest(std::vector<ScoredItem>& items, Index count) {
  const auto kept = std::clamp<std::ptrdiff_t>(count, 0, std::ssize(items));
  std::partial_sort(items.begin(), items.begin() + kept, items.end(),
                    [](const ScoredItem& a, const ScoredItem& b) {
                      return a.score != b.score ? a.score > b.score : a.item < b.item;
                    });
  items.resize(ToSize(kept));
}

}  // namespace cliplens
