// Byte-pair encoding of single words.
//
//   const BytePairs pairs(VocabularyFromMerges({{"d", "u"}, {"c", "k</w>"}}, "merges.txt"));
//   std::vector<std::int32_t> ids;
//   pairs.Encode("duck", ids);   // du ck</w>
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/model/vocabulary.h"

namespace cliplens {

// The order of merges if the same pair occurs several times in a word. It matters if two merges
// make the same token: a new pair may then rank before the pair that was just merged.
enum class MergeOrder {
  kWholeWord,  // all occurrences, from left to right, then the pairs that they make (open_clip)
  kOneByOne,   // the leftmost alone, then whatever ranks lowest (Hugging Face's tokenizers)
};

// Splits words into the tokens of a vocabulary ("Neural Machine Translation of Rare Words with
// Subword Units", arXiv 1508.07909): it merges the neighbouring pair of the lowest rank until no
// pair is left that merges.
//
// Immutable once built; Encode may be called from many threads.
class BytePairs {
 public:
  explicit BytePairs(const Vocabulary& vocabulary, MergeOrder order = MergeOrder::kWholeWord);

  // Appends the ids of a word of UTF-8 bytes. O(n log n) in its length. Throws
  // Error(kInvalidArgument) for a byte that has no token in a vocabulary without an unknown token.
  void Encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  struct Merge {
    std::int32_t rank;    // kNoRank for pairs that do not merge
    std::int32_t symbol;  // the result
  };
  struct Slot {
    std::uint64_t key;
    Merge merge;
  };

  Merge Find(std::int32_t left, std::int32_t right) const;
  void Insert(std::int32_t left, std::int32_t right, Merge merge);
  // Both leave the word's final symbols at the front of `symbols` and return their number.
  std::size_t MergeShort(std::span<std::int32_t> symbols) const;
  std::size_t MergeLong(std::span<std::int32_t> symbols) const;

  // Symbols are numbered: 256 bytes, 256 bytes that end a word, then what merges make.
  std::vector<std::int32_t> id_of_;  // [symbols], kNoId for bytes without a token
  std::vector<Slot> slots_;          // open addressing; a power of two, at most half full
  std::string name_;                 // of the vocabulary
  MergeOrder order_;
};

}  // namespace cliplens
