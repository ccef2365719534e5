#include "cliplens/model/vocabulary.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>

#include "cliplens/base/array.h"
#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/stand_in.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

constexpr std::int64_t kMaxId = (std::int64_t{1} << 24) - 1;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

// The next run of characters that are not blank, taken off the front of `line`.
std::string_view TakeWord(std::string_view& line) {
  const auto begin = std::find_if_not(line.begin(), line.end(), IsBlank);
  const auto end = std::find_if(begin, line.end(), IsBlank);
  const auto offset = ToSize(begin - line.begin());
  const std::string_view word = line.substr(offset, ToSize(end - begin));
  line.remove_prefix(offset + word.size());
  return word;
}

// Merges must be distinct: of two equal ones only one rank could count.
void CheckDistinct(const Merges& merges, const std::string& name) {
  std::unordered_map<std::string, std::size_t> seen;
  seen.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto [found, added] = seen.emplace(merges[i].first + ' ' + merges[i].second, i);
    if (!added) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: merge {} (\"{}\") is merge {} again; remove one of them", name, i + 1,
                  Printable(found->first), found->second + 1);
    }
  }
}

// Every merge makes a token of the vocabulary from two others.
void CheckMerges(const Vocabulary& vocabulary, const std::string& merges_name) {
  CheckDistinct(vocabulary.merges, merges_name);
  for (std::size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const auto& [left, right] = vocabulary.merges[i];
    for (const std::string& token : {left, right, left + right}) {
      if (!vocabulary.ids.contains(token)) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: merge {} joins \"{}\" and \"{}\", but {} has no token \"{}\"; take both "
                    "from the same tokenizer",
                    merges_name, i + 1, Printable(left), Printable(right), vocabulary.name,
                    Printable(token));
      }
    }
  }
}

// Adds the members of a JSON object {token: id}.
void ReadIds(const Json& object, const std::string& name, Vocabulary& vocabulary) {
  if (!object.is_object() || object.empty()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the vocabulary must be an object of tokens and ids; fetch the file again",
                name);
  }
  std::unordered_map<std::int64_t, const std::string*> token_of;
  token_of.reserve(object.size());
  vocabulary.ids.reserve(object.size());
  for (const auto& [token, value] : object.items()) {
    const bool whole = value.is_number_integer();
    const std::int64_t id = whole ? value.get<std::int64_t>() : -1;
    if (!whole || id < 0 || id > kMaxId) {
      throw Error(
          ErrorCode::kCorruptData,
          "{}: the id of \"{}\" is {}, it must be a whole number from 0 to {}; fetch the file "
          "again",
          name, Printable(token), Printable(DumpJson(value), 40), kMaxId);
    }
    const auto [place, added] = vocabulary.ids.emplace(token, static_cast<std::int32_t>(id));
    const auto [other, fresh] = token_of.emplace(id, &place->first);
    if (!added || !fresh) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: \"{}\" and \"{}\" have the same id, {}; fetch the file again", name,
                  Printable(*other->second), Printable(token), id);
    }
  }
}

// The token that a configuration file beside the vocabulary names under `key`; it is written as a
// string or as {"content": string}.
std::optional<std::string> NamedToken(const std::filesystem::path& directory, const char* key) {
  for (const char* file : {"special_tokens_map.json", "tokenizer_config.json"}) {
    const std::filesystem::path path = directory / file;
    if (!Exists(path)) continue;
    const Json config = ReadJsonFile(path, kMaxVocabularyBytes);
    if (!config.is_object() || !config.contains(key)) continue;
    const Json& value = config[key];
    if (value.is_string()) return value.get<std::string>();
    if (value.is_object() && value.contains("content") && value["content"].is_string()) {
      return value["content"].get<std::string>();
    }
  }
  return std::nullopt;
}

std::string FindSpecial(const std::filesystem::path& directory, const char* key,
                        std::initializer_list<const char*> usual, const Vocabulary& vocabulary) {
  if (const std::optional<std::string> named = NamedToken(directory, key);
      named && vocabulary.ids.contains(*named)) {
    return *named;
  }
  for (const char* token : usual) {
    if (vocabulary.ids.contains(token)) return token;
  }
  throw Error(ErrorCode::kCorruptData,
              "{}: no token {}; name it as \"{}\" in special_tokens_map.json", vocabulary.name,
              fmt::join(usual, " or "), key);
}

void FindSpecials(const std::filesystem::path& directory, Vocabulary& vocabulary) {
  vocabulary.start =
      FindSpecial(directory, "bos_token", {"<|startoftext|>", "<start_of_text>"}, vocabulary);
  vocabulary.end =
      FindSpecial(directory, "eos_token", {"<|endoftext|>", "<end_of_text>"}, vocabulary);
  if (vocabulary.start == vocabulary.end) {
    throw Error(
        ErrorCode::kCorruptData,
        "{}: start and end of a text are both \"{}\"; name two tokens in tokenizer_config.json",
        vocabulary.name, Printable(vocabulary.start));
  }
}

void CheckWordEnds(const Vocabulary& vocabulary) {
  const bool any = std::any_of(vocabulary.ids.begin(), vocabulary.ids.end(), [](const auto& entry) {
    return std::string_view(entry.first).ends_with(kWordEnd);
  });
  if (!any) {
    throw Error(ErrorCode::kUnsupported,
                "{}: no token ends in {}, so this is no CLIP vocabulary (GPT-2 and RoBERTa have "
                "others); use the files of the model's own text encoder",
                vocabulary.name, kWordEnd);
  }
}

std::pair<std::string, std::string> ReadMerge(const Json& merge, std::size_t index,
                                              const std::string& name) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const std::string text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    if (space != text.npos && space > 0 && space + 1 < text.size() &&
        text.find(' ', space + 1) == text.npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw Error(ErrorCode::kCorruptData,
              "{}: merge {} must be two tokens, as \"a b\" or [\"a\", \"b\"], it is {}; fetch the "
              "file again",
              name, index + 1, Printable(DumpJson(merge), 80));
}

// Members of tokenizer.json's model that would change the ids.
void CheckModel(const Json& model, const std::string& name) {
  const auto refuse = [&](const char* key, const char* wanted) {
    throw Error(ErrorCode::kUnsupported,
                "{}: model.{} is {}, only {} is supported (the tokenizer of CLIP)", name, key,
                Printable(DumpJson(model[key]), 80), wanted);
  };
  if (model.contains("type") && model["type"] != "BPE") refuse("type", "\"BPE\"");
  if (!model.contains("end_of_word_suffix") || model["end_of_word_suffix"] != kWordEnd) {
    throw Error(ErrorCode::kUnsupported,
                "{}: model.end_of_word_suffix is not \"{}\", so this is no CLIP tokenizer", name,
                kWordEnd);
  }
  const Json empty = "";
  if (model.contains("continuing_subword_prefix") &&
      !model["continuing_subword_prefix"].is_null() &&
      model["continuing_subword_prefix"] != empty) {
    refuse("continuing_subword_prefix", "none");
  }
  for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
    if (model.contains(key) && model[key] == true) refuse(key, "false");
  }
}

// The "model" of a tokenizer.json with `ids` as its vocabulary.
Vocabulary ReadModel(const Json& model, const Json& ids, const std::string& name) {
  Vocabulary vocabulary;
  vocabulary.name = name;
  ReadIds(ids, name, vocabulary);
  const auto found = model.find("merges");
  if (found == model.end() || !found->is_array()) {
    throw Error(ErrorCode::kCorruptData, "{}: \"merges\" must be an array; fetch the file again",
                name);
  }
  const Json& merges = *found;
  vocabulary.merges.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    vocabulary.merges.push_back(ReadMerge(merges[i], i, name));
  }
  CheckMerges(vocabulary, name);
  return vocabulary;
}

void FindUnknown(const Json& model, Vocabulary& vocabulary) {
  const auto unknown = model.find("unk_token");
  if (unknown == model.end() || !unknown->is_string()) return;
  const auto found = vocabulary.ids.find(unknown->get<std::string>());
  if (found != vocabulary.ids.end()) vocabulary.unknown = found->second;
}

Json CheckedModel(const Json& tokenizer, const std::string& name) {
  Json model = JsonField<Json>(tokenizer, "model", name);
  if (!model.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: \"model\" must be an object; fetch the file again",
                name);
  }
  CheckModel(model, name);
  return model;
}

Vocabulary ReadTokenizerJson(const std::filesystem::path& path) {
  const std::string name = PathText(path);
  const Json root = ReadJsonFile(path, kMaxVocabularyBytes);
  const Json model = CheckedModel(root, name);
  Json ids = JsonField<Json>(model, "vocab", name);
  if (const auto added = root.find("added_tokens"); added != root.end() && added->is_array()) {
    for (const Json& token : *added) {
      const std::string content = JsonField<std::string>(token, "content", name);
      const std::int64_t id = JsonField<std::int64_t>(token, "id", name);
      const auto known = ids.is_object() ? ids.find(content) : ids.end();
      if (known == ids.end()) {
        ids[content] = id;
      } else if (*known != id) {
        throw Error(
            ErrorCode::kCorruptData,
            "{}: \"{}\" has the id {} in the vocabulary and {} in added_tokens; fetch the file "
            "again",
            name, Printable(content), Printable(DumpJson(*known), 40), id);
      }
    }
  }
  Vocabulary vocabulary = ReadModel(model, ids, name);
  FindSpecials(path.parent_path(), vocabulary);
  FindUnknown(model, vocabulary);
  return vocabulary;
}

}  // namespace

const std::string& ByteName(unsigned char byte) {
  static const std::array<std::string, 256> names = [] {
    std::array<std::string, 256> table;
    char32_t next = 0x100;
    for (char32_t b = 0; b < 256; ++b) {
      const bool printable =
          (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      AppendUtf8(printable ? b : next++, table[b]);
    }
    return table;
  }();
  return names[byte];
}

Vocabulary VocabularyFromMerges(Merges merges, const std::string& name) {
  constexpr std::size_t kMaxMerges = 49152 - 256 - 2;  // the reference reads no more
  if (merges.size() > kMaxMerges) merges.resize(kMaxMerges);
  CheckDistinct(merges, name);
  Vocabulary vocabulary;
  vocabulary.name = name;
  vocabulary.start = "<start_of_text>";
  vocabulary.end = "<end_of_text>";
  std::int32_t id = 0;
  // Printable bytes come first, as they do in the table of byte names.
  std::vector<std::string> bytes;
  for (const bool printable : {true, false}) {
    for (unsigned b = 0; b < 256; ++b) {
      const std::string& byte = ByteName(static_cast<unsigned char>(b));
      // Names below U+0100 stand for themselves.
      const bool itself = byte.size() == 1 || static_cast<unsigned char>(byte[0]) < 0xC4;
      if (itself == printable) bytes.push_back(byte);
    }
  }
  for (const std::string& byte : bytes) vocabulary.ids[byte] = id++;
  for (const std::string& byte : bytes) vocabulary.ids[byte + std::string(kWordEnd)] = id++;
  // Where two merges make the same token, the later id is the one that counts.
  for (const auto& [left, right] : merges) vocabulary.ids[left + right] = id++;
  vocabulary.ids[vocabulary.start] = id++;
  vocabulary.ids[vocabulary.end] = id++;
  vocabulary.merges = std::move(merges);
  return vocabulary;
}

std::string ReadMergesText(const std::filesystem::path& path) {
  std::string text = ReadTextFile(path, kMaxVocabularyBytes);
  if (text.empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: the file is empty; fetch it again", PathText(path));
  }
  RefuseStandIn(text, PathText(path));
  return text;
}

Merges ParseMerges(std::string_view text, const std::string& name) {
  Merges merges;
  std::size_t line_number = 0;
  std::size_t empty_line = 0;
  while (!text.empty()) {
    ++line_number;
    const std::size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (line_number == 1 && line.find("#version") != line.npos) continue;
    const std::string_view whole = line;
    const std::string_view left = TakeWord(line);
    if (left.empty()) {
      if (empty_line == 0) empty_line = line_number;
      continue;
    }
    const std::string_view right = TakeWord(line);
    if (empty_line != 0) {
      throw Error(ErrorCode::kCorruptData, "{}: line {} is empty; remove it", name, empty_line);
    }
    if (right.empty() || !TakeWord(line).empty()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {} must be two tokens, it is \"{}\"; fetch the file again", name,
                  line_number, Printable(whole, 80));
    }
    merges.emplace_back(left, right);
  }
  return merges;
}

Vocabulary ReadVocabularyPair(const std::filesystem::path& directory) {
  Vocabulary vocabulary;
  vocabulary.name = PathText(directory / "vocab.json");
  const std::filesystem::path merges = directory / "merges.txt";
  if (!Exists(merges)) {
    throw Error(ErrorCode::kNotFound,
                "{}: merges.txt is missing beside it; copy it from the same tokenizer",
                vocabulary.name);
  }
  ReadIds(ReadJsonFile(directory / "vocab.json", kMaxVocabularyBytes), vocabulary.name, vocabulary);
  CheckWordEnds(vocabulary);
  const std::string merges_name = PathText(merges);
  vocabulary.merges = ParseMerges(ReadMergesText(merges), merges_name);
  CheckMerges(vocabulary, merges_name);
  return vocabulary;
}

Vocabulary ReadTokenizerModel(const Json& tokenizer, const std::string& name) {
  const Json model = CheckedModel(tokenizer, name);
  return ReadModel(model, JsonField<Json>(model, "vocab", name), name);
}

Vocabulary ReadBytePairModel(const Json& model, const std::string& name) {
  const Json none;
  const auto ids = model.find("vocab");
  Vocabulary vocabulary = ReadModel(model, ids == model.end() ? none : *ids, name);
  FindUnknown(model, vocabulary);
  return vocabulary;
}

std::optional<Vocabulary> ReadVocabulary(const std::filesystem::path& directory) {
  if (Exists(directory / "vocab.json")) {
    Vocabulary vocabulary = ReadVocabularyPair(directory);
    FindSpecials(directory, vocabulary);
    return vocabulary;
  }
  if (Exists(directory / "tokenizer.json")) {
    return ReadTokenizerJson(directory / "tokenizer.json");
  }
  const std::filesystem::path merges = directory / "merges.txt";
  if (Exists(merges)) {
    const std::string name = PathText(merges);
    return VocabularyFromMerges(ParseMerges(ReadMergesText(merges), name), name);
  }
  return std::nullopt;
}

}  // namespace cliplens
