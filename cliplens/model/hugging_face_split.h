// Splitting of a text into the words that are then encoded, as transformers' CLIPTokenizer does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cliplens/model/hugging_face_vocabulary.h"

namespace cliplens {

// Immutable once built; Split may be called from many threads.
class HuggingFaceSplitter {
 public:
  // Take what was found and return whether to go on.
  using OnWord = std::function<bool(std::string_view utf8)>;
  using OnToken = std::function<bool(std::int32_t id)>;

  explicit HuggingFaceSplitter(const std::vector<AddedToken>& added);

  // Words and added tokens, from left to right. Added tokens are cut out first, of several that
  // begin at one place the longest; what stands between them is normalized on its own, searched
  // for the tokens that are looked for then, and split by the tokenizer's expression:
  //   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
  // (the first two come apart again into three words, by the expression of the byte level).
  // Throws Error(kInvalidArgument) with the byte offset if `text` is not UTF-8.
  void Split(std::string_view text, const OnWord& on_word, const OnToken& on_token) const;

 private:
  struct Spelling {
    std::u32string text;
    std::int32_t id;
  };
  // By first character, the longest first.
  using Spellings = std::unordered_map<char32_t, std::vector<Spelling>>;

  // Calls `between` for the parts of `text` that are no token of `spellings`, on_token for those
  // that are; false once a call returned false.
  static bool CutOut(const Spellings& spellings, std::u32string_view text,
                     const std::function<bool(std::u32string_view)>& between,
                     const OnToken& on_token);

  Spellings as_written_;
  Spellings normalized_;
};

}  // namespace cliplens
