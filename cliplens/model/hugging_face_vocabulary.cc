#include "cliplens/model/hugging_face_vocabulary.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/clip_vocabulary.h"

namespace cliplens {
namespace {

constexpr const char* kStart = "<|startoftext|>";
constexpr const char* kEnd = "<|endoftext|>";

void CheckClass(const Json& config, const std::string& name) {
  const auto found = config.find("tokenizer_class");
  if (found == config.end() || found->is_null() || *found == "CLIPTokenizer" ||
      *found == "CLIPTokenizerFast") {
    return;
  }
  throw Error(ErrorCode::kUnsupported,
              "{}: 'tokenizer_class' is {}; only CLIPTokenizer is supported", name,
              Printable(DumpJson(*found), 80));
}

// No token of CLIP takes in blanks.
void CheckToken(const TokenText& token, const std::string& name) {
  if (!token.strips_left && !token.strips_right) return;
  throw Error(ErrorCode::kUnsupported,
              "{}: '{}' of the token \"{}\" is true; only tokens that stand for themselves alone "
              "are supported",
              name, token.strips_left ? "lstrip" : "rstrip", Printable(token.text));
}

void CheckSettings(const TokenizerSettings& settings, const std::string& name) {
  CheckClass(settings.config, settings.config_name);
  for (const auto& [id, token] : settings.added) CheckToken(token, name);
  for (const auto& [role, token] : settings.roles) {
    if (token) CheckToken(*token, name);
  }
  for (const TokenText& token : settings.extra) CheckToken(token, name);
}

// CLIP's own vocabulary, or merges without one, in the spelling of Hugging Face's files.
Vocabulary FromMergesAlone(std::string_view text, const std::string& name) {
  Vocabulary vocabulary = VocabularyFromMerges(ParseMerges(text, name), name);
  for (const auto& [old, spelled] : {std::pair{vocabulary.start, kStart}, {vocabulary.end, kEnd}}) {
    const std::int32_t id = vocabulary.ids.at(old);
    vocabulary.ids.erase(old);
    vocabulary.ids[spelled] = id;
  }
  return vocabulary;
}

Vocabulary ReadWords(const std::filesystem::path& directory, const std::optional<Json>& tokenizer,
                     const std::string& tokenizer_name) {
  const auto has = [&](const char* file) { return !directory.empty() && Exists(directory / file); };
  if (tokenizer) return ReadTokenizerModel(*tokenizer, tokenizer_name);
  if (has("vocab.json")) return ReadVocabularyPair(directory);
  const std::filesystem::path merges = directory / "merges.txt";
  if (has("merges.txt")) {
    return FromMergesAlone(ReadMergesText(merges), PathText(merges));
  }
  if (ClipMergesText().empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: no vocabulary (tokenizer.json, or vocab.json with merges.txt), and this build "
                "holds none of its own; copy the model's files there",
                PathText(directory));
  }
  return FromMergesAlone(ClipMergesText(), "CLIP's vocabulary");
}

}  // namespace

HuggingFaceVocabulary ReadHuggingFaceVocabulary(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "tokenizer.json";
  const std::string name = PathText(path);
  const std::optional<Json> tokenizer =
      ReadObjectIfThere(directory, "tokenizer.json", kMaxVocabularyBytes);
  HuggingFaceVocabulary vocabulary;
  vocabulary.words = ReadWords(directory, tokenizer, name);
  TokenizerSettings settings = ReadTokenizerSettings(directory, tokenizer);
  CheckSettings(settings, PathText(directory));
  vocabulary.max_length = settings.max_length;

  settings.roles.try_emplace("bos_token", TokenText{.text = kStart});
  for (const char* key : {"eos_token", "unk_token", "pad_token"}) {
    settings.roles.try_emplace(key, TokenText{.text = kEnd});
  }
  TokenAdder adder(vocabulary.words.ids);
  adder.AddAll(settings);
  vocabulary.added = adder.added();

  const auto required = [&](const char* key) -> const std::string& {
    const std::optional<TokenText>& token = settings.roles.at(key);
    if (!token || token->text.empty()) {
      throw Error(ErrorCode::kUnsupported, "{}: '{}' is null; texts must begin and end in a token",
                  PathText(directory / "tokenizer_config.json"), key);
    }
    return token->text;
  };
  vocabulary.words.start = required("bos_token");
  vocabulary.words.end = required("eos_token");
  vocabulary.start = adder.IdOf(vocabulary.words.start);
  vocabulary.end = adder.IdOf(vocabulary.words.end);
  const std::optional<TokenText>& pad = settings.roles.at("pad_token");
  vocabulary.pad = pad && !pad->text.empty() ? adder.IdOf(pad->text) : vocabulary.end;
  if (const std::optional<TokenText>& unknown = settings.roles.at("unk_token")) {
    const auto found = vocabulary.words.ids.find(unknown->text);
    if (found != vocabulary.words.ids.end()) vocabulary.words.unknown = found->second;
  }
  for (const auto& [token, id] : vocabulary.words.ids) {
    vocabulary.size = std::max(vocabulary.size, Index{id} + 1);
  }
  for (const AddedToken& token : vocabulary.added) {
    vocabulary.size = std::max(vocabulary.size, Index{token.id} + 1);
  }
  return vocabulary;
}

}  // namespace cliplens
