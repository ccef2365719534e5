// sentencepiece's model files (`spiece.model`, `sentencepiece.bpe.model`) and its own way from a
// text to ids.
//
//   const SentencePieceModel model = ReadSentencePieceModel("siglip/spiece.model");
//   const SentencePiece encoder(model);
//   std::vector<std::int32_t> ids;
//   encoder.Encode("a photo of a cat", ids);
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/character_map.h"
#include "cliplens/model/unigram.h"

namespace cliplens {

// U+2581, which stands for a blank in pieces.
inline constexpr std::string_view kPieceBlank = "\xE2\x96\x81";

inline constexpr Index kMaxSentencePieceBytes = Index{64} << 20;

struct SentencePieceModel {
  std::string name;  // of the file, for messages
  std::vector<UnigramPiece> pieces;
  bool is_unigram = true;
  bool has_settings = false;  // behind the pieces; a file that was cut off has none
  std::int32_t unknown = 0;   // id, as the trainer was told
  bool byte_fallback = false;
  // How texts are normalized.
  std::string character_map;  // CharacterMap
  bool blank_in_front = true;
  bool blank_behind = false;  // instead: "world " is a piece, not " world"
  bool single_blanks = true;
  bool escape_blanks = true;
};

// Reads the fields of the model that decide about ids (sentencepiece_model.proto). Error
// (kCorruptData) where the file contradicts itself, Error(kExhausted) above
// kMaxSentencePieceBytes.
SentencePieceModel ReadSentencePieceModel(const std::filesystem::path& path);
SentencePieceModel ParseSentencePieceModel(std::string_view bytes, const std::string& name);

// Ids equal those of the sentencepiece package. Immutable once built.
class SentencePiece {
 public:
  // Error(kUnsupported) unless the model is a unigram model without user-defined pieces,
  // Error(kCorruptData) as Unigram and CharacterMap have it.
  explicit SentencePiece(const SentencePieceModel& model);

  // Appends the ids of UTF-8.
  void Encode(std::string_view text, std::vector<std::int32_t>& ids) const;

  // The text as it is split into pieces: characters mapped, blanks made single and U+2581.
  std::string Normalize(std::string_view text) const;

  const Unigram& unigram() const { return unigram_; }

 private:
  CharacterMap::Match TakeCharacter(std::string_view text) const;

  Unigram unigram_;
  CharacterMap map_;
  bool blank_in_front_, blank_behind_, single_blanks_;
  std::string_view blank_;
};

}  // namespace cliplens
