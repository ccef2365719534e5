#include "cliplens/model/tokenizer_settings.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {
namespace {

constexpr std::int64_t kMostTokenIds = std::int64_t{1} << 24;

bool IsTokenId(std::int64_t id) { return id >= 0 && id < kMostTokenIds; }

// The tokens of an array, appended.
void ReadTokens(const Json& array, const std::string& name, std::vector<TokenText>& tokens) {
  if (array.is_null()) return;
  if (!array.is_array()) {
    throw Error(ErrorCode::kUnsupported,
                "{}: extra special tokens are {}; only a list of tokens is supported", name,
                Printable(DumpJson(array), 80));
  }
  for (const Json& token : array) tokens.push_back(ReadTokenText(token, true, name));
}

void RefuseUnless(const Json& config, const char* key, const Json& value, const std::string& name) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null() || *found == value) return;
  throw Error(ErrorCode::kUnsupported, "{}: '{}' is {}; only {} is supported", name, key,
              Printable(DumpJson(*found), 80), DumpJson(value));
}

bool IsRole(std::string_view key) {
  return std::find(kTokenRoles.begin(), kTokenRoles.end(), key) != kTokenRoles.end();
}

// The members of tokenizer_config.json or special_tokens_map.json that name tokens.
void ReadRoles(const Json& file, const std::string& name, bool all_special,
               TokenizerSettings& settings) {
  for (const auto& [key, value] : file.items()) {
    if (IsRole(key)) {
      auto& role = settings.roles[key];
      role.reset();
      if (!value.is_null()) role = ReadTokenText(value, all_special, name + ": " + key);
    } else if (key == "additional_special_tokens" || key == "extra_special_tokens") {
      ReadTokens(value, name + ": " + key, settings.extra);
    } else if (key.ends_with("_token") && (value.is_string() || value.is_object())) {
      throw Error(ErrorCode::kUnsupported, "{}: the special token '{}' ({}) is none that is known",
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
                  "{}: '{}' is {}, a number of tokens from 2 on was expected; correct it", name,
                  key, Printable(DumpJson(*found), 40));
    }
    // Files say 10^30 for "no limit".
    const double length = found->get<double>();
    if (length < 1e15) return static_cast<Index>(length);
  }
  return std::numeric_limits<Index>::max();
}

// "added_tokens_decoder" of tokenizer_config.json.
void ReadDecoder(const Json& decoder, const std::string& name, TokenizerSettings& settings) {
  if (!decoder.is_object()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: 'added_tokens_decoder' must be an object; fetch the file again", name);
  }
  for (const auto& [key, value] : decoder.items()) {
    const std::int64_t id = ParseNumber<std::int64_t>(key).value_or(-1);
    if (!IsTokenId(id)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: 'added_tokens_decoder' has a token for '{}', which is no id from 0 to {}; "
                  "fetch the file again",
                  name, Printable(key, 40), kMostTokenIds - 1);
    }
    settings.added.insert_or_assign(id, ReadTokenText(value, false, name));
  }
}

// The files that speak where tokenizer_config.json has no decoder.
void ReadOlderFiles(const std::filesystem::path& directory, TokenizerSettings& settings) {
  if (const std::optional<Json> map =
          ReadObjectIfThere(directory, "special_tokens_map.json", kMaxVocabularyBytes)) {
    ReadRoles(*map, PathText(directory / "special_tokens_map.json"), /*all_special=*/true,
              settings);
  }
  if (const std::optional<Json> added =
          ReadObjectIfThere(directory, "added_tokens.json", kMaxVocabularyBytes)) {
    const std::string name = PathText(directory / "added_tokens.json");
    for (const auto& [text, id] : added->items()) {
      if (!id.is_number_integer() || !IsTokenId(id.get<std::int64_t>())) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: the id of \"{}\" is {}, a whole number from 0 to {} was expected; fetch "
                    "the file again",
                    name, Printable(text), Printable(DumpJson(id), 40), kMostTokenIds - 1);
      }
      const bool special =
          std::any_of(
              settings.roles.begin(), settings.roles.end(),
              [&, &t = text](const auto& role) { return role.second && role.second->text == t; }) ||
          std::any_of(settings.extra.begin(), settings.extra.end(),
                      [&, &t = text](const TokenText& token) { return token.text == t; });
      settings.added.insert_or_assign(id.get<std::int64_t>(),
                                      TokenText{.text = text, .normalized = !special});
    }
  }
}

}  // namespace

TokenText ReadTokenText(const Json& value, bool special, const std::string& name) {
  if (value.is_string()) return {.text = value.get<std::string>()};
  if (!value.is_object()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} is no token; a text or an object with \"content\" was expected", name,
                Printable(DumpJson(value), 80));
  }
  TokenText token{.text = JsonField<std::string>(value, "content", name)};
  const auto flag = [&](const char* key, bool fallback) {
    const auto found = value.find(key);
    if (found == value.end() || found->is_null()) return fallback;
    if (!found->is_boolean()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: '{}' of the token \"{}\" is {}, true or false was expected; correct it",
                  name, key, Printable(token.text), Printable(DumpJson(*found), 40));
    }
    return found->get<bool>();
  };
  if (flag("single_word", false)) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'single_word' of the token \"{}\" is true; only tokens that stand for "
                "themselves anywhere are supported",
                name, Printable(token.text));
  }
  token.strips_left = flag("lstrip", false);
  token.strips_right = flag("rstrip", false);
  token.normalized = flag("normalized", !(special || flag("special", false)));
  return token;
}

bool TokenizerSettings::Flag(const char* key, bool fallback) const {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, true or false was expected; correct it",
                config_name, key, Printable(DumpJson(*found), 40));
  }
  return found->get<bool>();
}

std::optional<Json> ReadObjectIfThere(const std::filesystem::path& directory, const char* file,
                                      Index max_bytes) {
  if (directory.empty() || !Exists(directory / file)) return std::nullopt;
  const std::filesystem::path path = directory / file;
  Json json = ReadJsonFile(path, max_bytes);
  if (!json.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: an object was expected; fetch the file again",
                PathText(path));
  }
  return json;
}

TokenizerSettings ReadTokenizerSettings(const std::filesystem::path& directory,
                                        const std::optional<Json>& tokenizer) {
  TokenizerSettings settings;
  const std::string tokenizer_name = PathText(directory / "tokenizer.json");
  settings.config_name = PathText(directory / "tokenizer_config.json");
  settings.config = ReadObjectIfThere(directory, "tokenizer_config.json", kMaxVocabularyBytes)
                        .value_or(Json::object());
  const Json& config = settings.config;
  RefuseUnless(config, "truncation_side", "right", settings.config_name);
  RefuseUnless(config, "padding_side", "right", settings.config_name);
  RefuseUnless(config, "split_special_tokens", false, settings.config_name);
  settings.max_length = ReadMaxLength(config, settings.config_name);
  ReadRoles(config, settings.config_name, /*all_special=*/false, settings);

  if (const auto decoder = config.find("added_tokens_decoder"); decoder != config.end()) {
    ReadDecoder(*decoder, settings.config_name, settings);
  } else {
    ReadOlderFiles(directory, settings);
    if (tokenizer) {
      const Json added = JsonField<Json>(*tokenizer, "added_tokens", tokenizer_name);
      if (!added.is_array()) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: 'added_tokens' must be an array; fetch the file again", tokenizer_name);
      }
      for (const Json& token : added) {
        TokenText text = ReadTokenText(token, false, tokenizer_name);
        const auto id = JsonField<std::int64_t>(token, "id", tokenizer_name);
        if (!IsTokenId(id)) {
          throw Error(ErrorCode::kCorruptData,
                      "{}: the id of the added token \"{}\" is {}, from 0 to {} was expected; "
                      "fetch the file again",
                      tokenizer_name, Printable(text.text), id, kMostTokenIds - 1);
        }
        settings.added.insert_or_assign(id, std::move(text));
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

void TokenAdder::Add(const TokenText& token) {
  if (token.text.empty()) return;
  const auto [place, fresh] = place_.emplace(token.text, added_.size());
  if (!fresh) {
    AddedToken& known = added_[place->second];
    known.normalized = token.normalized;
    known.strips_left = token.strips_left;
    known.strips_right = token.strips_right;
    return;
  }
  const auto known = ids_.find(token.text);
  const auto words = static_cast<Index>(ids_.size());
  const Index id = known != ids_.end() ? known->second : std::max(words, highest_ + 1);
  highest_ = std::max(highest_, id);
  added_.push_back({.text = token.text,
                    .id = static_cast<std::int32_t>(id),
                    .normalized = token.normalized,
                    .strips_left = token.strips_left,
                    .strips_right = token.strips_right});
}

void TokenAdder::AddAll(const TokenizerSettings& settings) {
  for (const auto& [id, token] : settings.added) Add(token);
  std::vector<TokenText> named;
  for (const char* key : kTokenRoles) {
    const auto role = settings.roles.find(key);
    if (role != settings.roles.end() && role->second) named.push_back(*role->second);
  }
  named.insert(named.end(), settings.extra.begin(), settings.extra.end());
  std::erase_if(named, [&](const TokenText& token) { return Has(token.text); });
  for (const TokenText& token : named) Add(token);
}

}  // namespace cliplens
