// WordPiece, the vocabulary of BERT: a word is the longest piece that it begins with, then the
// longest that goes on from there.
//
//   const WordPieces pieces({.ids = {{"[UNK]", 0}, {"un", 1}, {"##like", 2}}, .unknown = 0});
//   std::vector<std::int32_t> ids;
//   pieces.Encode("unlike", ids);   // 1 2
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cliplens/model/piece_trie.h"

namespace cliplens {

struct WordPieceVocabulary {
  std::unordered_map<std::string, std::int32_t> ids;
  std::int32_t unknown = 0;
  std::string prefix = "##";       // of pieces that go on a word
  std::size_t longest_word = 100;  // in characters; longer ones are unknown
};

// Immutable once built.
class WordPieces {
 public:
  explicit WordPieces(WordPieceVocabulary vocabulary);

  // Appends the ids of one word of UTF-8: the unknown token alone if a part of it has no piece.
  void Encode(std::string_view word, std::vector<std::int32_t>& ids) const;

  const WordPieceVocabulary& vocabulary() const { return vocabulary_; }

 private:
  WordPieceVocabulary vocabulary_;
  PieceTrie first_, next_;  // pieces that begin a word, and that go on, without their prefix
};

}  // namespace cliplens
