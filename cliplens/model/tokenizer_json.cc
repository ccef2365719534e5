#include "cliplens/model/tokenizer_json.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/file.h"
#include "cliplens/io/plain_text.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/stand_in.h"

namespace cliplens {
namespace {

constexpr std::int64_t kMostIds = std::int64_t{1} << 24;
constexpr std::size_t kMostTemplateTokens = 16;

// A member without a copy of it; null where there is none.
const Json& MemberOf(const Json& object, const char* key) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

bool FlagOf(const Json& object, const char* key, const std::string& name) {
  return !MemberOf(object, key).is_null() && JsonField<bool>(object, key, name);
}

std::int32_t CheckedId(const Json& value, const char* what, const std::string& name) {
  const std::int64_t id = value.is_number_integer() ? value.get<std::int64_t>() : -1;
  if (id < 0 || id >= kMostIds) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} is {}, an id from 0 to {} was expected; fetch the file again", name, what,
                JsonExcerpt(value), kMostIds - 1);
  }
  return static_cast<std::int32_t>(id);
}

void AddVocabularyToken(std::string token, std::int32_t id, const std::string& name,
                        WordPieceVocabulary& vocabulary) {
  const auto [place, added] = vocabulary.ids.emplace(std::move(token), id);
  if (!added) place->second = id;  // of two lines the later counts
  if (static_cast<std::int64_t>(vocabulary.ids.size()) > kMostIds) {
    throw Error(ErrorCode::kExhausted, "{}: more than {} tokens, the most that are read", name,
                kMostIds);
  }
}

void FindUnknownWord(const std::string& unknown, const std::string& name,
                     WordPieceVocabulary& vocabulary) {
  const auto found = vocabulary.ids.find(unknown);
  if (found == vocabulary.ids.end()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the unknown token \"{}\" is none of the vocabulary's; fetch the file again",
                name, Printable(unknown));
  }
  vocabulary.unknown = found->second;
}

}  // namespace

const Json& TokenizerModel(const Json& file, const std::string& name) {
  const Json& model = MemberOf(file, "model");
  if (!model.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: \"model\" must be an object; fetch the file again",
                name);
  }
  return model;
}

ModelKind KindOf(const Json& model, const std::string& name) {
  const Json& type = MemberOf(model, "type");
  if (type.is_null()) {
    if (MemberOf(model, "vocab").is_array()) return ModelKind::kUnigram;
    if (model.contains("merges")) return ModelKind::kBytePairs;
    if (model.contains("max_input_chars_per_word")) return ModelKind::kWordPieces;
  }
  if (type == "Unigram") return ModelKind::kUnigram;
  if (type == "BPE") return ModelKind::kBytePairs;
  if (type == "WordPiece") return ModelKind::kWordPieces;
  throw Error(ErrorCode::kUnsupported,
              "{}: model.type is {}; only Unigram, BPE and WordPiece are supported", name,
              JsonExcerpt(type));
}

UnigramVocabulary ReadUnigramModel(const Json& model, const std::string& name) {
  const Json& pieces = MemberOf(model, "vocab");
  if (!pieces.is_array() || pieces.empty()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: \"vocab\" must be a list of pieces and scores; fetch the file again", name);
  }
  if (static_cast<std::int64_t>(pieces.size()) > kMostIds) {
    throw Error(ErrorCode::kExhausted, "{}: {} pieces; {} are the most that are read", name,
                pieces.size(), kMostIds);
  }
  UnigramVocabulary vocabulary{.pieces = {},
                               .unknown = std::nullopt,
                               .byte_fallback = FlagOf(model, "byte_fallback", name),
                               .rule = UnigramRule::kTokenizers};
  vocabulary.pieces.reserve(pieces.size());
  for (const Json& piece : pieces) {
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: piece {} is {}, a text and a score were expected; fetch the file again",
                  name, vocabulary.pieces.size(), JsonExcerpt(piece));
    }
    vocabulary.pieces.push_back(
        {.text = piece[0].get<std::string>(), .score = piece[1].get<double>()});
  }
  if (const Json& unknown = MemberOf(model, "unk_id"); !unknown.is_null()) {
    vocabulary.unknown = CheckedId(unknown, "\"unk_id\"", name);
  }
  return vocabulary;
}

WordPieceVocabulary ReadWordPieceModel(const Json& model, const std::string& name) {
  const Json& tokens = MemberOf(model, "vocab");
  if (!tokens.is_object() || tokens.empty()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: \"vocab\" must be an object of tokens and ids; fetch the file again", name);
  }
  WordPieceVocabulary vocabulary;
  vocabulary.ids.reserve(tokens.size());
  for (const auto& [token, id] : tokens.items()) {
    AddVocabularyToken(token, CheckedId(id, "the id of a token", name), name, vocabulary);
  }
  FindUnknownWord(
      model.contains("unk_token") ? JsonField<std::string>(model, "unk_token", name) : "[UNK]",
      name, vocabulary);
  if (model.contains("continuing_subword_prefix")) {
    vocabulary.prefix = JsonField<std::string>(model, "continuing_subword_prefix", name);
  }
  if (model.contains("max_input_chars_per_word")) {
    vocabulary.longest_word =
        ToSize(CheckedId(model["max_input_chars_per_word"], "\"max_input_chars_per_word\"", name));
  }
  return vocabulary;
}

CharacterPairRule ReadCharacterPairRule(const Json& model, const std::string& name) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix", "dropout"}) {
    const Json& value = MemberOf(model, key);
    if (value.is_null() || value == "" || value == 0) continue;
    throw Error(ErrorCode::kUnsupported, "{}: model.{} is {}; only null is supported", name, key,
                JsonExcerpt(value));
  }
  return {.byte_fallback = FlagOf(model, "byte_fallback", name),
          .fuse_unknown = FlagOf(model, "fuse_unk", name),
          .ignore_merges = FlagOf(model, "ignore_merges", name)};
}

WordPieceVocabulary ReadVocabText(const std::filesystem::path& path) {
  const std::string name = PathText(path);
  const std::string content = ReadTextFile(path, kMaxVocabularyBytes);
  const std::string_view text = PlainText(content, name);
  RefuseStandIn(text, name);
  WordPieceVocabulary vocabulary;
  std::int32_t id = 0;
  for (std::size_t at = 0; at < text.size(); ++id) {
    AddVocabularyToken(std::string(TakeLine(text, &at)), id, name, vocabulary);
  }
  if (vocabulary.ids.empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: the file is empty; fetch it again", name);
  }
  return vocabulary;
}

std::vector<TokenText> ReadAddedTokens(const Json& file, const std::string& name) {
  const Json& list = MemberOf(file, "added_tokens");
  if (!list.is_null() && !list.is_array()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: 'added_tokens' must be an array; fetch the file again", name);
  }
  std::map<std::int64_t, TokenText> by_id;
  for (const Json& token : list) {
    const std::int32_t id = CheckedId(MemberOf(token, "id"), "the id of an added token", name);
    by_id.insert_or_assign(id, ReadTokenText(token, /*special=*/false, name));
  }
  std::vector<TokenText> tokens;
  tokens.reserve(by_id.size());
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

TokenTemplate ReadTemplate(const Json& processor, const std::string& name) {
  TokenTemplate out;
  if (processor.is_null()) return out;
  const std::string type = JsonField<std::string>(processor, "type", name);
  if (type == "BertProcessing") {
    const auto id_of = [&](const char* key) {
      const Json& pair = MemberOf(processor, key);
      const bool is_pair = pair.is_array() && pair.size() == 2;
      return CheckedId(is_pair ? pair[1] : pair, key, name);
    };
    out.front.push_back(id_of("cls"));
    out.behind.push_back(id_of("sep"));
    return out;
  }
  if (type != "TemplateProcessing") {
    throw Error(ErrorCode::kUnsupported,
                "{}: the post_processor {} is not followed, only TemplateProcessing and "
                "BertProcessing; save the tokenizer by transformers",
                name, JsonExcerpt(processor));
  }
  const auto refuse = [&](const Json& part) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the template's part {} is neither the text nor a special token; fetch the "
                "file again",
                name, JsonExcerpt(part));
  };
  bool text = false;
  for (const Json& part : JsonList(processor, "single", name)) {
    if (part.is_object() && part.contains("Sequence") && !text) {
      text = true;
      continue;
    }
    const Json& special = MemberOf(part, "SpecialToken");
    const Json& id = MemberOf(special, "id");
    if (!id.is_string()) refuse(part);
    const Json& known =
        MemberOf(MemberOf(processor, "special_tokens"), id.get<std::string>().c_str());
    const Json& ids = MemberOf(known, "ids");
    if (!ids.is_array()) refuse(part);
    for (const Json& value : ids) {
      (text ? out.behind : out.front).push_back(CheckedId(value, "an id of the template", name));
    }
    if (out.front.size() + out.behind.size() > kMostTemplateTokens) {
      throw Error(ErrorCode::kUnsupported, "{}: a template of more than {} tokens", name,
                  kMostTemplateTokens);
    }
  }
  if (!text) refuse(processor);
  return out;
}

Json FindPrecompiled(const Json& file) {
  const Json& normalizer = MemberOf(file, "normalizer");
  const Json& list = MemberOf(normalizer, "normalizers");
  if (!list.is_array()) {
    return MemberOf(normalizer, "type") == "Precompiled" ? normalizer : Json();
  }
  for (const Json& step : list) {
    if (MemberOf(step, "type") == "Precompiled") return step;
  }
  return {};
}

}  // namespace cliplens
