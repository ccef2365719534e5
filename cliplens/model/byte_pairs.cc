#include "cliplens/model/byte_pairs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>
#include <queue>
#include <unordered_map>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"

namespace cliplens {
namespace {

constexpr std::int32_t kNoRank = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t kNoId = -1;
constexpr std::uint64_t kEmptySlot = ~std::uint64_t{0};

// Words up to this length are merged by passes over all their pairs, longer ones with a queue.
constexpr std::size_t kShortWord = 64;

std::uint64_t Key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

// Fibonacci hashing; the upper half of the product is the well-mixed one.
std::size_t Hash(std::uint64_t key) { return ToSize((key * 0x9E3779B97F4A7C15ull) >> 32); }

}  // namespace

BytePairs::BytePairs(const Vocabulary& vocabulary, MergeOrder order)
    : name_(vocabulary.name), order_(order) {
  std::unordered_map<std::string, std::int32_t> symbol_of;
  symbol_of.reserve(vocabulary.ids.size());
  const auto intern = [&](const std::string& token) {
    const auto [place, added] = symbol_of.emplace(token, static_cast<std::int32_t>(id_of_.size()));
    if (added) {
      const auto id = vocabulary.ids.find(token);
      id_of_.push_back(id != vocabulary.ids.end() ? id->second
                                                  : vocabulary.unknown.value_or(kNoId));
    }
    return place->second;
  };
  for (const std::string_view suffix : {std::string_view(), kWordEnd}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      intern(ByteName(static_cast<unsigned char>(byte)) + std::string(suffix));
    }
  }
  slots_.assign(std::bit_ceil(2 * vocabulary.merges.size() + 2), {kEmptySlot, {kNoRank, kNoId}});
  std::int32_t rank = 0;
  for (const auto& [left, right] : vocabulary.merges) {
    const std::int32_t left_symbol = intern(left);
    const std::int32_t right_symbol = intern(right);
    Insert(left_symbol, right_symbol, {rank++, intern(left + right)});
  }
}

void BytePairs::Insert(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = Key(left, right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = Hash(key) & mask;
  while (slots_[at].key != kEmptySlot) at = (at + 1) & mask;
  slots_[at] = {key, merge};
}

BytePairs::Merge BytePairs::Find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t key = Key(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = Hash(key) & mask;; at = (at + 1) & mask) {
    // An empty slot ends the search; its rank says that there is no merge.
    if (slots_[at].key == key || slots_[at].key == kEmptySlot) return slots_[at].merge;
  }
}

std::size_t BytePairs::MergeShort(std::span<std::int32_t> symbols) const {
  std::size_t count = symbols.size();
  std::array<Merge, kShortWord> merges;  // [i]: of the symbols i and i + 1
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

std::size_t BytePairs::MergeLong(std::span<std::int32_t> symbols) const {
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
    return after < count ? Find(symbols[at(place)], symbols[at(after)]) : Merge{kNoRank, kNoId};
  };
  for (std::int32_t i = 0; i < count; ++i) {
    previous[at(i)] = i - 1;
    next[at(i)] = i + 1;
  }
  for (std::int32_t i = 0; i < count; ++i) {
    if (const Merge merge = find(i); merge.rank != kNoRank) initial.push_back(Key(merge.rank, i));
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
        queue.push(Key(merge.rank, place));
    }
  }
  return ToSize(std::remove(symbols.begin(), symbols.end(), kRemoved) - symbols.begin());
}

void BytePairs::Encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  std::array<std::int32_t, kShortWord> short_word;
  std::vector<std::int32_t> long_word;
  std::span<std::int32_t> symbols(short_word.data(), std::min(word.size(), kShortWord));
  if (word.size() > kShortWord) {
    if (word.size() > ToSize(kNoRank)) {
      throw Error(ErrorCode::kExhausted, "a word of {} bytes is longer than the limit of {}",
                  word.size(), kNoRank);
    }
    long_word.resize(word.size());
    symbols = long_word;
  }
  for (std::size_t i = 0; i < word.size(); ++i) symbols[i] = static_cast<unsigned char>(word[i]);
  symbols.back() += 256;
  const std::size_t count = word.size() > kShortWord ? MergeLong(symbols) : MergeShort(symbols);
  for (const std::int32_t symbol : symbols.first(count)) {
    const std::int32_t id = At(id_of_, symbol);
    if (id == kNoId) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: no token for the byte 0x{:02X}{}; the text cannot be written in this "
                  "vocabulary",
                  name_, symbol & 0xFF, symbol >= 256 ? " at the end of a word" : "");
    }
    ids.push_back(id);
  }
}

}  // namespace cliplens
