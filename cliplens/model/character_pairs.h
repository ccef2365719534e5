// Byte-pair encoding that begins with characters, as Gemma's tokenizer does.
//
//   const Json file = ReadJsonFile("tokenizer.json");
//   const CharacterPairs pairs(ReadBytePairModel(file["model"], "file"), {.byte_fallback = true});
//   std::vector<std::int32_t> ids;
//   pairs.Encode("a\xE2\x96\x81" "photo", ids);
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cliplens/model/pair_merges.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {

struct CharacterPairRule {
  bool byte_fallback = false;  // characters without token become their bytes, "<0x41>"
  bool fuse_unknown = false;   // a run of others is one unknown token
  bool ignore_merges = false;  // a text that is a token as it stands is that token
};

// By the rules of Hugging Face's tokenizers. Immutable once built.
class CharacterPairs {
 public:
  CharacterPairs(const Vocabulary& vocabulary, const CharacterPairRule& rule);

  // Appends the ids of UTF-8, in time O(n log n). A character without token, bytes and unknown
  // token is left out, as in the reference.
  void Encode(std::string_view text, std::vector<std::int32_t>& ids) const;

 private:
  CharacterPairRule rule_;
  std::unordered_map<std::string, std::int32_t> characters_;  // tokens of one character
  std::unordered_map<std::string, std::int32_t> whole_;       // all tokens, if merges are ignored
  std::array<std::int32_t, 256> bytes_{};                     // ids, -1 for those without token
  std::int32_t unknown_;                                      // -1: none
  std::array<std::int32_t, 128> ascii_{};                     // of characters_, -1 for none
  PairMerges merges_;
  // The neighbours, as characters, that some merge joins. Between others a text is cut, so that
  // what is merged is short.
  PairMerges joints_;
  bool cuts_ = true;
};

}  // namespace cliplens
