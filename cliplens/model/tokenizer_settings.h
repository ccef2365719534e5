// What the files beside a vocabulary say of a Hugging Face tokenizer: special and added tokens, the
// longest text.
//
//   const TokenizerSettings settings = ReadTokenizerSettings("siglip2/", std::nullopt);
//   Print(settings.max_length, settings.roles.contains("eos_token"));
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"

namespace cliplens {

// A token as files write it.
struct TokenText {
  std::string text;
  bool normalized = false;  // searched for after normalization
  // Take in the white space that stands before or behind them.
  bool strips_left = false;
  bool strips_right = false;
};

// A token that is found in the text itself, ahead of any splitting into words.
struct AddedToken {
  std::string text;
  std::int32_t id;
  bool normalized;
  bool strips_left = false;
  bool strips_right = false;
};

// transformers' names for the special tokens, in the order in which it adds them.
inline constexpr std::array<const char*, 7> kTokenRoles = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

struct TokenizerSettings {
  Json config = Json::object();  // tokenizer_config.json, empty where there is none
  std::string config_name;       // its path, for messages
  std::map<std::string, std::optional<TokenText>, std::less<>> roles;  // nothing where it is null
  std::map<std::int64_t, TokenText> added;                             // by the id that they claim
  std::vector<TokenText> extra;
  Index max_length = std::numeric_limits<Index>::max();

  // A member of tokenizer_config.json that is true, false, or absent (`fallback`).
  bool Flag(const char* key, bool fallback) const;
};

// Reads tokenizer_config.json; if it has no "added_tokens_decoder", special_tokens_map.json,
// added_tokens.json and the added tokens of `tokenizer` (tokenizer.json, where there is one) as
// well, in this order. Rules as in transformers 5.23.
//
// Error(kUnsupported) that names what is not followed: texts cut or filled at their beginning,
// tokens that must stand alone (`single_word`), special tokens of other names.
TokenizerSettings ReadTokenizerSettings(const std::filesystem::path& directory,
                                        const std::optional<Json>& tokenizer);

// A token as files write it: its text, or an object with how it is looked for. `special`: it is one
// even where it does not say so. Errors as above; `name` is the file's.
TokenText ReadTokenText(const Json& value, bool special, const std::string& name);

// A JSON object of the directory, if the file is there. An empty directory has no files.
std::optional<Json> ReadObjectIfThere(const std::filesystem::path& directory, const char* file,
                                      Index max_bytes);

// Adds tokens as Hugging Face's tokenizers do: one that the vocabulary has keeps its id, another
// takes the next free one whatever the files say, and of two with the same text the later says how
// it is looked for. `ids` must outlive it.
class TokenAdder {
 public:
  explicit TokenAdder(const std::unordered_map<std::string, std::int32_t>& ids) : ids_(ids) {}

  void Add(const TokenText& token);
  // The settings' added tokens, then the roles and extras that are not spelled by them.
  void AddAll(const TokenizerSettings& settings);

  bool Has(const std::string& text) const { return place_.contains(text); }
  std::int32_t IdOf(const std::string& text) const { return added_[place_.at(text)].id; }
  const std::vector<AddedToken>& added() const { return added_; }

 private:
  const std::unordered_map<std::string, std::int32_t>& ids_;
  std::vector<AddedToken> added_;
  std::map<std::string, std::size_t, std::less<>> place_;
  Index highest_ = -1;  // id of an added token
};

}  // namespace cliplens
