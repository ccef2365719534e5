#include "cliplens/model/pair_merges.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <queue>
#include <utility>

#include "cliplens/base/index.h"

namespace cliplens {
namespace {

constexpr std::int32_t kNoSymbol = -1;
constexpr std::uint64_t kEmptySlot = ~std::uint64_t{0};

// Up to so many are merged by passes over all their pairs, more with a queue.
constexpr std::size_t kFewSymbols = 64;

std::uint64_t PairKey(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

// Fibonacci hashing; the upper half of the product is the well-mixed one.
std::size_t PairHash(std::uint64_t key) { return ToSize((key * 0x9E3779B97F4A7C15ull) >> 32); }

}  // namespace

PairMerges::PairMerges(std::size_t count, MergeOrder order)
    : slots_(std::bit_ceil(2 * count + 2), {kEmptySlot, {kNoRank, kNoSymbol}}), order_(order) {}

void PairMerges::Insert(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = PairKey(left, right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = PairHash(key) & mask;
  while (slots_[at].key != kEmptySlot) {
    if (slots_[at].key == key) return;
    at = (at + 1) & mask;
  }
  slots_[at] = {key, merge};
}

PairMerges::Merge PairMerges::Find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t key = PairKey(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = PairHash(key) & mask;; at = (at + 1) & mask) {
    // An empty slot ends the search; its rank says that there is no merge.
    if (slots_[at].key == key || slots_[at].key == kEmptySlot) return slots_[at].merge;
  }
}

std::size_t PairMerges::ApplyToShort(std::span<std::int32_t> symbols) const {
  std::size_t count = symbols.size();
  std::array<Merge, kFewSymbols> merges;  // [i]: of the symbols i and i + 1
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = Find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    std::int32_t rank = kNoRank;
    for (std::size_t i = 0; i + 1 < count; ++i) rank = std::min(rank, merges[i].rank);
    if (rank == kNoRank) break;
    std::size_t to = 0;
    bool previous_merged = false;
    bool may_merge = true;
    for (std::size_t from = 0; from < count; ++to) {
      const bool merged = may_merge && from + 1 < count && merges[from].rank == rank;
      if (merged && order_ == MergeOrder::kOneByOne) may_merge = false;
      const std::int32_t symbol = merged ? merges[from].symbol : symbols[from];
      if (to > 0) {
        merges[to - 1] =
            merged || previous_merged ? Find(symbols[to - 1], symbol) : merges[from - 1];
      }
      symbols[to] = symbol;
      from += merged ? 2 : 1;
      previous_merged = merged;
    }
    count = to;
  }
  return count;
}

std::size_t PairMerges::ApplyToLong(std::span<std::int32_t> symbols) const {
  // A list over the symbols' places, and the pairs that merge ordered by rank and place. A pair in
  // the queue may be out of date; it counts if its symbols still have its rank.
  constexpr std::int32_t kRemoved = -1;
  const auto count = static_cast<std::int32_t>(symbols.size());
  std::vector<std::int32_t> previous(symbols.size());
  std::vector<std::int32_t> next(symbols.size());
  std::vector<std::uint64_t> initial;
  const auto at = [](std::int32_t place) { return ToSize(place); };
  const auto find = [&](std::int32_t place) {
    const std::int32_t after = next[at(place)];
    return after < count ? Find(symbols[at(place)], symbols[at(after)]) : Merge{kNoRank, kNoSymbol};
  };
  for (std::int32_t i = 0; i < count; ++i) {
    previous[at(i)] = i - 1;
    next[at(i)] = i + 1;
  }
  for (std::int32_t i = 0; i < count; ++i) {
    if (const Merge merge = find(i); merge.rank != kNoRank)
      initial.push_back(PairKey(merge.rank, i));
  }
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> queue(
      std::greater<>(), std::move(initial));

  std::vector<std::int32_t> changed;  // places whose pairs are new after the merges of one rank
  while (!queue.empty()) {
    // By kWholeWord, all occurrences of one pair, from left to right; the pairs that they make come
    // later, even if their rank is lower.
    const auto rank = static_cast<std::int32_t>(queue.top() >> 32);
    changed.clear();
    while (!queue.empty() && static_cast<std::int32_t>(queue.top() >> 32) == rank) {
      if (order_ == MergeOrder::kOneByOne && !changed.empty()) break;
      const auto place = static_cast<std::int32_t>(queue.top() & 0xFFFFFFFFu);
      queue.pop();
      if (symbols[at(place)] == kRemoved) continue;
      const Merge merge = find(place);
      if (merge.rank != rank) continue;
      const std::int32_t removed = next[at(place)];
      symbols[at(place)] = merge.symbol;
      symbols[at(removed)] = kRemoved;
      next[at(place)] = next[at(removed)];
      if (next[at(place)] < count) previous[at(next[at(place)])] = place;
      if (previous[at(place)] >= 0) changed.push_back(previous[at(place)]);
      changed.push_back(place);
    }
    for (const std::int32_t place : changed) {
      if (symbols[at(place)] == kRemoved) continue;
      if (const Merge merge = find(place); merge.rank != kNoRank)
        queue.push(PairKey(merge.rank, place));
    }
  }
  return ToSize(std::remove(symbols.begin(), symbols.end(), kRemoved) - symbols.begin());
}

std::size_t PairMerges::Apply(std::span<std::int32_t> symbols) const {
  return symbols.size() > kFewSymbols ? ApplyToLong(symbols) : ApplyToShort(symbols);
}

}  // namespace cliplens
