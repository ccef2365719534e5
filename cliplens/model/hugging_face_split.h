// Splits a text into the words that BytePairs encodes, as transformers' CLIPTokenizer does.
//
//   const HuggingFaceSplitter splitter(/*added=*/{});
//   splitter.Split("a duck's bill",
//                  [](std::string_view word) { return Print(word), true; },   // a, duck, 's, bill
//                  [](std::int32_t id) { return Print(id), true; });
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
  // Take a word or token and return whether to go on.
  using OnWord = std::function<bool(std::string_view utf8)>;
  using OnToken = std::function<bool(std::int32_t id)>;

  explicit HuggingFaceSplitter(const std::vector<AddedToken>& added);

  // Gives words and added tokens from left to right. Added tokens are cut out first; if several
  // begin at one place, the longest is taken. Each part between them is normalized by itself,
  // searched for the tokens that are `normalized`, and split by the tokenizer's expression:
  //   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
  // (the expression of the byte level splits the first two again, into three words). Throws
  // Error(kInvalidArgument) with the byte offset if `text` is not UTF-8.
  void Split(std::string_view text, const OnWord& on_word, const OnToken& on_token) const;

 private:
  struct Spelling {
    std::u32string text;
    std::int32_t id;
  };
  // By first character, the longest first.
  using Spellings = std::unordered_map<char32_t, std::vector<Spelling>>;

  // Calls `on_token` for the tokens of `spellings` in `text` and `between` for the parts between
  // them. Returns false as soon as a call returns false.
  static bool CutOut(const Spellings& spellings, std::u32string_view text,
                     const std::function<bool(std::u32string_view)>& between,
                     const OnToken& on_token);

  Spellings as_written_;
  Spellings normalized_;
};

}  // namespace cliplens
