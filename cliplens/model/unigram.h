// The unigram model of sentencepiece: a text is split into the pieces whose scores have the largest
// sum.
//
//   const Unigram unigram({.pieces = {{"<unk>"}, {"ca", -2}, {"cat", -3}, {"s", -2}}}, "a file");
//   std::vector<std::int32_t> ids;
//   unigram.Encode("cats", ids);   // 2 3
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/model/piece_trie.h"

namespace cliplens {

// What a piece of a sentencepiece model is; the values are those of its files.
enum class PieceKind : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct UnigramPiece {
  std::string text;
  double score = 0;  // a log probability
  PieceKind kind = PieceKind::kNormal;
};

// Whose details are followed where equal sums, rounding and unknown characters decide.
enum class UnigramRule {
  // Hugging Face's tokenizers: sums in fp64; every piece counts, whatever its kind. A run of
  // characters without piece becomes bytes or one unknown token.
  kTokenizers,
  // sentencepiece itself: sums rounded to fp32; only normal pieces are found in texts.
  kSentencePiece,
};

struct UnigramVocabulary {
  std::vector<UnigramPiece> pieces;  // by id
  std::optional<std::int32_t> unknown = 0;
  bool byte_fallback = false;  // characters without piece become their bytes, "<0x41>"
  UnigramRule rule = UnigramRule::kTokenizers;
};

// "Subword Regularization", arXiv 1804.10959, section 3.2; the best split by Viterbi's algorithm.
// Immutable once built.
class Unigram {
 public:
  // Error(kCorruptData) naming `name` for scores that are not finite, empty pieces, an unknown id
  // that is none, and by kSentencePiece for a piece that occurs twice or missing bytes.
  Unigram(UnigramVocabulary vocabulary, const std::string& name);

  // Appends the ids of a text of UTF-8. Time and memory grow with its length times the longest
  // piece. Error(kInvalidArgument) for a character without piece if nothing stands for it.
  void Encode(std::string_view text, std::vector<std::int32_t>& ids) const;

  const UnigramVocabulary& vocabulary() const { return vocabulary_; }
  std::optional<std::int32_t> Find(std::string_view piece) const { return trie_.Find(piece); }

 private:
  struct Best;
  template <typename Real>
  void FindBest(std::string_view text, std::vector<Best>& best) const;
  void AppendUnknown(std::string_view text, std::vector<std::int32_t>& reversed) const;
  bool AppendBytes(std::string_view text, std::vector<std::int32_t>& reversed) const;

  UnigramVocabulary vocabulary_;
  std::string name_;
  PieceTrie trie_;
  std::array<std::int32_t, 256> bytes_{};  // ids, -1 for those without piece
  double unknown_score_ = 0;
};

}  // namespace cliplens
