// Byte-pair encoding of single words.
//
//   const BytePairs pairs(VocabularyFromMerges({{"d", "u"}, {"c", "k</w>"}}, "merges.txt"));
//   std::vector<std::int32_t> ids;
//   pairs.Encode("duck", ids);   // du ck</w>
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/model/pair_merges.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {

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
  // Symbols are numbered: 256 bytes, 256 bytes that end a word, then what merges make.
  std::vector<std::int32_t> id_of_;  // [symbols], kNoId for bytes without a token
  PairMerges merges_;
  std::string name_;  // of the vocabulary
};

}  // namespace cliplens
