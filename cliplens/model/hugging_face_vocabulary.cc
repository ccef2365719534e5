#include "cliplens/model/hugging_face_vocabulary.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/clip_vocabulary.h"

namespace cliplens {
namespace {

constexpr const char* kStart = "<|startoftext|>";
constexpr const char* kEnd = "<|endoftext|>";

// transformers' names for the special tokens, in the order in which it adds them.
constexpr std::array<const char*, 7> kRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};

struct NewToken {
  std::string text;
  bool normalized = false;
};

// An empty directory means CLIP's own vocabulary, so nothing is looked for.
bool IsThere(const std::filesystem::path& directory, const char* file) {
  return !directory.empty() && Exists(directory / file);
}

std::optional<Json> ReadIfThere(const std::filesystem::path& directory, const char* file) {
  if (!IsThere(directory, file)) return std::nullopt;
  const std::filesystem::path path = directory / file;
  Json json = ReadJsonFile(path, kMaxVocabularyBytes);
  if (!json.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: an object was expected", PathText(path));
  }
  return json;
}

// A token as files write it: its text, or an object with how it is looked for.
NewToken ReadToken(const Json& value, bool special, const std::string& name) {
  if (value.is_string()) return {value.get<std::string>(), false};
  if (!value.is_object()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} is no token; a text or an object with \"content\" was expected", name,
                Printable(DumpJson(value), 80));
  }
  NewToken token{JsonField<std::string>(value, "content", name), false};
  const auto flag = [&](const char* key, bool fallback) {
    const auto found = value.find(key);
    if (found == value.end() || found->is_null()) return fallback;
    if (!found->is_boolean()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: '{}' of the token \"{}\" is {}, true or false was expected", name, key,
                  Printable(token.text), Printable(DumpJson(*found), 40));
    }
    return found->get<bool>();
  };
  for (const char* key : {"single_word", "lstrip", "rstrip"}) {
    if (flag(key, false)) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: '{}' of the token \"{}\" is true; only tokens that stand for themselves "
                  "alone are supported",
                  name, key, Printable(token.text));
    }
  }
  token.normalized = flag("normalized", !(special || flag("special", false)));
  return token;
}

// The tokens of an array, appended.
void ReadTokens(const Json& array, const std::string& name, std::vector<NewToken>& tokens) {
  if (array.is_null()) return;
  if (!array.is_array()) {
    throw Error(ErrorCode::kUnsupported,
                "{}: extra special tokens are {}; only a list of tokens is supported", name,
                Printable(DumpJson(array), 80));
  }
  for (const Json& token : array) tokens.push_back(ReadToken(token, true, name));
}

// What the files beside the vocabulary say.
struct Settings {
  std::map<std::string, std::optional<NewToken>, std::less<>> roles;  // nothing where it is null
  std::map<std::int64_t, NewToken> added;                             // by the id that they claim
  std::vector<NewToken> extra;
  Index max_length = std::numeric_limits<Index>::max();
};

void RefuseUnless(const Json& config, const char* key, const Json& value, const std::string& name) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null() || *found == value) return;
  throw Error(ErrorCode::kUnsupported, "{}: '{}' is {}; only {} is supported", name, key,
              Printable(DumpJson(*found), 80), DumpJson(value));
}

bool IsRole(std::string_view key) {
  return std::find(kRoles.begin(), kRoles.end(), key) != kRoles.end();
}

// The members of tokenizer_config.json or special_tokens_map.json that name tokens.
void ReadRoles(const Json& file, const std::string& name, bool all_special, Settings& settings) {
  for (const auto& [key, value] : file.items()) {
    if (IsRole(key)) {
      auto& role = settings.roles[key];
      role.reset();
      if (!value.is_null()) role = ReadToken(value, all_special, name + ": " + key);
    } else if (key == "additional_special_tokens" || key == "extra_special_tokens") {
      ReadTokens(value, name + ": " + key, settings.extra);
    } else if (key.ends_with("_token") && (value.is_string() || value.is_object())) {
      throw Error(ErrorCode::kUnsupported, "{}: the special token '{}' ({}) is none of CLIP's",
                  name, Printable(key), Printable(DumpJson(value), 80));
    }
  }
}

Index ReadMaxLength(const Json& config, const std::string& name) {
  for (const char* key : {"model_max_length", "max_len"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) continue;
    if (!found->is_number() || !(found->get<double>() >= 2)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: '{}' is {}, a number of tokens from 2 on was expected", name, key,
                  Printable(DumpJson(*found), 40));
    }
    // Files say 10^30 for "no limit".
    const double length = found->get<double>();
    if (length < 1e15) return static_cast<Index>(length);
  }
  return std::numeric_limits<Index>::max();
}

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

// "added_tokens_decoder" of tokenizer_config.json.
void ReadDecoder(const Json& decoder, const std::string& name, Settings& settings) {
  if (!decoder.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: 'added_tokens_decoder' must be an object", name);
  }
  for (const auto& [key, value] : decoder.items()) {
    const std::optional<std::int64_t> id = ParseNumber<std::int64_t>(key);
    if (!id) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: 'added_tokens_decoder' has a token for '{}', which is no id", name,
                  Printable(key));
    }
    settings.added.insert_or_assign(*id, ReadToken(value, false, name));
  }
}

// The files that speak where tokenizer_config.json has no decoder.
void ReadOlderFiles(const std::filesystem::path& directory, Settings& settings) {
  if (const std::optional<Json> map = ReadIfThere(directory, "special_tokens_map.json")) {
    ReadRoles(*map, PathText(directory / "special_tokens_map.json"), /*all_special=*/true,
              settings);
  }
  if (const std::optional<Json> added = ReadIfThere(directory, "added_tokens.json")) {
    const std::string name = PathText(directory / "added_tokens.json");
    for (const auto& [text, id] : added->items()) {
      if (!id.is_number_integer()) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: the id of \"{}\" is {}, a whole number was expected", name,
                    Printable(text), Printable(DumpJson(id), 40));
      }
      const bool special =
          std::any_of(
              settings.roles.begin(), settings.roles.end(),
              [&, &t = text](const auto& role) { return role.second && role.second->text == t; }) ||
          std::any_of(settings.extra.begin(), settings.extra.end(),
                      [&, &t = text](const NewToken& token) { return token.text == t; });
      settings.added.insert_or_assign(id.get<std::int64_t>(), NewToken{text, !special});
    }
  }
}

Settings ReadSettings(const std::filesystem::path& directory, const std::optional<Json>& tokenizer,
                      const std::string& tokenizer_name) {
  Settings settings;
  const std::string config_name = PathText(directory / "tokenizer_config.json");
  const Json config = ReadIfThere(directory, "tokenizer_config.json").value_or(Json::object());
  CheckClass(config, config_name);
  RefuseUnless(config, "truncation_side", "right", config_name);
  RefuseUnless(config, "padding_side", "right", config_name);
  RefuseUnless(config, "split_special_tokens", false, config_name);
  settings.max_length = ReadMaxLength(config, config_name);
  ReadRoles(config, config_name, /*all_special=*/false, settings);

  if (const auto decoder = config.find("added_tokens_decoder"); decoder != config.end()) {
    ReadDecoder(*decoder, config_name, settings);
  } else {
    ReadOlderFiles(directory, settings);
    if (tokenizer) {
      const Json added = JsonField<Json>(*tokenizer, "added_tokens", tokenizer_name);
      if (!added.is_array()) {
        throw Error(ErrorCode::kCorruptData, "{}: 'added_tokens' must be an array", tokenizer_name);
      }
      for (const Json& token : added) {
        settings.added.insert_or_assign(JsonField<std::int64_t>(token, "id", tokenizer_name),
                                        ReadToken(token, false, tokenizer_name));
      }
    }
  }
  if (tokenizer) {
    for (const auto& [key, wanted] : {std::pair{"truncation", "Right"}, {"padding", "Right"}}) {
      const auto found = tokenizer->find(key);
      if (found == tokenizer->end() || !found->is_object()) continue;
      RefuseUnless(*found, "direction", wanted, tokenizer_name + ": " + key);
    }
  }
  return settings;
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
  if (tokenizer) return ReadTokenizerModel(*tokenizer, tokenizer_name);
  if (IsThere(directory, "vocab.json")) return ReadVocabularyPair(directory);
  const std::filesystem::path merges = directory / "merges.txt";
  if (IsThere(directory, "merges.txt")) {
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

// Adds tokens as Hugging Face's tokenizers do: one that the vocabulary has keeps its id, another
// takes the next free one whatever the files say, and of two with the same text the later says how
// it is looked for.
class Adder {
 public:
  explicit Adder(HuggingFaceVocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void Add(const NewToken& token) {
    if (token.text.empty()) return;
    const auto [place, fresh] = place_.emplace(token.text, vocabulary_.added.size());
    if (!fresh) {
      vocabulary_.added[place->second].normalized = token.normalized;
      return;
    }
    const auto known = vocabulary_.words.ids.find(token.text);
    const auto words = static_cast<Index>(vocabulary_.words.ids.size());
    const Index id =
        known != vocabulary_.words.ids.end() ? known->second : std::max(words, highest_ + 1);
    highest_ = std::max(highest_, id);
    vocabulary_.added.push_back({token.text, static_cast<std::int32_t>(id), token.normalized});
  }

  bool Has(const std::string& text) const { return place_.contains(text); }
  std::int32_t IdOf(const std::string& text) const { return vocabulary_.added[place_.at(text)].id; }

 private:
  HuggingFaceVocabulary& vocabulary_;
  std::map<std::string, std::size_t, std::less<>> place_;
  Index highest_ = -1;  // id of an added token
};

}  // namespace

HuggingFaceVocabulary ReadHuggingFaceVocabulary(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "tokenizer.json";
  const std::string name = PathText(path);
  const std::optional<Json> tokenizer = ReadIfThere(directory, "tokenizer.json");
  HuggingFaceVocabulary vocabulary;
  vocabulary.words = ReadWords(directory, tokenizer, name);
  Settings settings = ReadSettings(directory, tokenizer, name);
  vocabulary.max_length = settings.max_length;

  settings.roles.try_emplace("bos_token", NewToken{kStart, false});
  for (const char* key : {"eos_token", "unk_token", "pad_token"}) {
    settings.roles.try_emplace(key, NewToken{kEnd, false});
  }
  Adder adder(vocabulary);
  for (const auto& [id, token] : settings.added) adder.Add(token);
  // Roles and extras that the added tokens do not spell already.
  std::vector<NewToken> named;
  for (const char* key : kRoles) {
    const auto role = settings.roles.find(key);
    if (role != settings.roles.end() && role->second) named.push_back(*role->second);
  }
  named.insert(named.end(), settings.extra.begin(), settings.extra.end());
  std::erase_if(named, [&](const NewToken& token) { return adder.Has(token.text); });
  for (const NewToken& token : named) adder.Add(token);

  const auto required = [&](const char* key) -> const std::string& {
    const std::optional<NewToken>& token = settings.roles.at(key);
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
  const std::optional<NewToken>& pad = settings.roles.at("pad_token");
  vocabulary.pad = pad && !pad->text.empty() ? adder.IdOf(pad->text) : vocabulary.end;
  if (const std::optional<NewToken>& unknown = settings.roles.at("unk_token")) {
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
