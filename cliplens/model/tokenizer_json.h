// The vocabularies and templates that a tokenizer.json holds, and `vocab.txt`.
//
//   const Json file = ReadJsonFile("siglip2/tokenizer.json", kMaxTokenizerJsonBytes);
//   const Json& model = TokenizerModel(file, "siglip2/tokenizer.json");
//   if (KindOf(model, "a file") == ModelKind::kUnigram) Use(ReadUnigramModel(model, "a file"));
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"
#include "cliplens/model/character_pairs.h"
#include "cliplens/model/tokenizer_settings.h"
#include "cliplens/model/unigram.h"
#include "cliplens/model/vocabulary.h"
#include "cliplens/model/word_pieces.h"

namespace cliplens {

// The largest tokenizer.json that is read: XLM-V's has 901,629 pieces.
inline constexpr Index kMaxTokenizerJsonBytes = Index{128} << 20;

enum class ModelKind { kUnigram, kBytePairs, kWordPieces };

// All throw Error(kCorruptData) for members that are missing or make no sense, Error(kUnsupported)
// that names what is not followed. `name` is the file's.

// The member "model" of a tokenizer.json; lives as long as `file`.
const Json& TokenizerModel(const Json& file, const std::string& name);
// By its "type", or by its members where it has none.
ModelKind KindOf(const Json& model, const std::string& name);

UnigramVocabulary ReadUnigramModel(const Json& model, const std::string& name);
WordPieceVocabulary ReadWordPieceModel(const Json& model, const std::string& name);
CharacterPairRule ReadCharacterPairRule(const Json& model, const std::string& name);
// One token a line, by id.
WordPieceVocabulary ReadVocabText(const std::filesystem::path& path);

// "added_tokens", in the order of their ids.
std::vector<TokenText> ReadAddedTokens(const Json& file, const std::string& name);

// The tokens that a text gets in front and behind it.
struct TokenTemplate {
  std::vector<std::int32_t> front, behind;
};
// A "post_processor"; null adds nothing.
TokenTemplate ReadTemplate(const Json& processor, const std::string& name);

// The first normalizer "Precompiled", as transformers looks for it; null if there is none.
Json FindPrecompiled(const Json& file);

}  // namespace cliplens
