// Finds added tokens in a text, ahead of any splitting into words.
//
//   const AddedTokenFinder finder({{.text = "<mask>", .id = 4, .normalized = false}});
//   finder.Split("a <mask> b", [](std::string_view part) { return Print(part), true; },
//                [](std::int32_t id) { return Print(id), true; });   // "a ", 4, " b"
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "cliplens/model/piece_trie.h"
#include "cliplens/model/tokenizer_settings.h"

namespace cliplens {

// Immutable once built.
class AddedTokenFinder {
 public:
  // Take a part or a token and return whether to go on.
  using OnPart = std::function<bool(std::string_view utf8)>;
  using OnToken = std::function<bool(std::int32_t id)>;

  AddedTokenFinder() = default;  // finds nothing
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // Gives tokens and the parts between them, from left to right; if several tokens begin at one
  // place, the longest is taken. White space that a token takes in is left out of its neighbours.
  // Returns false as soon as a call returns false.
  bool Split(std::string_view text, const OnPart& on_part, const OnToken& on_token) const;

 private:
  std::vector<AddedToken> tokens_;
  PieceTrie places_;  // in tokens_
};

}  // namespace cliplens
