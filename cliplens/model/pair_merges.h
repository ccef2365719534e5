// The merges of a byte-pair encoding, applied to the symbols of one word.
//
//   PairMerges merges(/*count=*/1, MergeOrder::kOneByOne);
//   merges.Insert(/*left=*/3, /*right=*/4, {.rank = 0, .symbol = 9});
//   std::vector<std::int32_t> symbols = {3, 4, 4};
//   Print(merges.Apply(symbols));   // 2: the symbols 9 4
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace cliplens {

// The order of merges if the same pair occurs several times in a word. It matters if two merges
// make the same token: a new pair may then rank before the pair that was just merged.
enum class MergeOrder {
  kWholeWord,  // all occurrences, from left to right, then the pairs that they make (open_clip)
  kOneByOne,   // the leftmost alone, then whatever ranks lowest (Hugging Face's tokenizers)
};

// Immutable once its merges are inserted; Apply may be called from many threads.
class PairMerges {
 public:
  static constexpr std::int32_t kNoRank = std::numeric_limits<std::int32_t>::max();

  struct Merge {
    std::int32_t rank;    // kNoRank for pairs that do not merge
    std::int32_t symbol;  // the result
  };

  // Room for `count` merges.
  PairMerges(std::size_t count, MergeOrder order);

  // Symbols are not negative. A pair that is there already keeps its merge.
  void Insert(std::int32_t left, std::int32_t right, Merge merge);

  bool Has(std::int32_t left, std::int32_t right) const {
    return Find(left, right).rank != kNoRank;
  }

  // Merges the neighbouring pair of the lowest rank until no pair is left that merges. Leaves the
  // word's final symbols at the front of `symbols`, of which there are at most kNoRank, and returns
  // their number. O(n log n).
  std::size_t Apply(std::span<std::int32_t> symbols) const;

 private:
  struct Slot {
    std::uint64_t key;
    Merge merge;
  };

  Merge Find(std::int32_t left, std::int32_t right) const;
  std::size_t ApplyToShort(std::span<std::int32_t> symbols) const;
  std::size_t ApplyToLong(std::span<std::int32_t> symbols) const;

  std::vector<Slot> slots_;  // open addressing; a power of two, at most half full
  MergeOrder order_;
};

}  // namespace cliplens
