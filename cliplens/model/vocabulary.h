// The vocabulary of a byte-pair tokenizer as its files give it.
//
//   const std::optional<Vocabulary> vocabulary = ReadVocabulary("models/pictureworld");
//   if (vocabulary) Print(vocabulary->ids.size());
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cliplens/io/json.h"

namespace cliplens {

// Tokens are written as CLIP's files write them: each byte as one printable character (ByteName)
// and "</w>" behind the last byte of a word.
struct Vocabulary {
  std::string name;                                         // of the file, for messages
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  std::unordered_map<std::string, std::int32_t> ids;
  std::string start;                    // the token in front of every text, as it is spelled
  std::string end;                      // the token behind every text
  std::optional<std::int32_t> unknown;  // stands for bytes that have no token
};

// The largest file of a vocabulary or of its settings that is read.
inline constexpr Index kMaxVocabularyBytes = Index{32} << 20;

inline constexpr std::string_view kWordEnd = "</w>";

// The printable character, as UTF-8, that stands for a byte ("Byte-level BPE": printable Latin-1
// stands for itself, the other bytes are U+0100 and so on, in order).
const std::string& ByteName(unsigned char byte);

// As open_clip numbers them: 256 bytes, 256 bytes that end a word, one token for each merge (48,894
// at most are used), <start_of_text>, <end_of_text>. Throws Error(kCorruptData) on a merge that
// occurs twice.
Vocabulary VocabularyFromMerges(std::vector<std::pair<std::string, std::string>> merges,
                                const std::string& name);

// A merges file. Error(kCorruptData) for an empty one: with no merges every byte would be a token
// of its own, and the model would read nonsense.
std::string ReadMergesText(const std::filesystem::path& path);

// The lines of a merges file: two tokens each; a first line with "#version" and empty lines at the
// end do not count. Throws Error(kCorruptData) naming the line.
std::vector<std::pair<std::string, std::string>> ParseMerges(std::string_view text,
                                                             const std::string& name);

// `vocab.json` with `merges.txt`, else `tokenizer.json`, else `merges.txt` alone; nothing if the
// directory has none of them. Special tokens are those that special_tokens_map.json or
// tokenizer_config.json names, else <|startoftext|> or <start_of_text> and their ends. Throws
// Error(kCorruptData) when the files contradict themselves or each other (an id that occurs twice
// or is out of range, a merge without a token), Error(kNotFound) for vocab.json without merges,
// Error(kUnsupported) for a tokenizer of another kind.
std::optional<Vocabulary> ReadVocabulary(const std::filesystem::path& directory);

// Parts of the above without special tokens: vocab.json with merges.txt, and the "model" of a
// tokenizer.json without its added tokens. Both throw as above.
Vocabulary ReadVocabularyPair(const std::filesystem::path& directory);
Vocabulary ReadTokenizerModel(const Json& tokenizer, const std::string& name);

// The "model" of a tokenizer.json of the kind BPE, whatever its settings and however its tokens are
// written: ids, merges, the unknown token. Throws as above.
Vocabulary ReadBytePairModel(const Json& model, const std::string& name);

}  // namespace cliplens
