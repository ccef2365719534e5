// The vocabulary of a model as transformers' CLIPTokenizer reads its files.
//
//   const HuggingFaceVocabulary vocabulary = ReadHuggingFaceVocabulary("clip-vit-base-patch16/");
//   Print(vocabulary.size, vocabulary.max_length);
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/tokenizer_settings.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {

struct HuggingFaceVocabulary {
  Vocabulary words;               // ids and merges of the model; start and end as spelled
  std::vector<AddedToken> added;  // start and end among them
  std::int32_t start = 0;         // id
  std::int32_t end = 0;           // id
  std::int32_t pad = 0;           // id
  Index max_length = 0;           // model_max_length: tokens of a text at most
  Index size = 0;                 // the highest id plus one
};

// Reads the vocabulary, merges and added tokens of `tokenizer.json`, else `vocab.json` with
// `merges.txt`, else `merges.txt` alone, else takes CLIP's own. tokenizer_config.json gives the
// special tokens, the added tokens and the longest text. If it has no "added_tokens_decoder",
// special_tokens_map.json, added_tokens.json and tokenizer.json are read as well, in this order.
// Rules as in transformers 5.23.
//
// Throws as ReadVocabulary, and Error(kUnsupported) that names a setting which this version does
// not follow (another tokenizer class, a text cut at its beginning, tokens that swallow blanks).
HuggingFaceVocabulary ReadHuggingFaceVocabulary(const std::filesystem::path& directory);

}  // namespace cliplens
