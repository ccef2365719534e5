// The tokenizers of CLIP's relatives, read from their files as transformers reads them.
//
//   const FileTokenizer tokenizer = FileTokenizer::Load("siglip/", {.context_length = 64});
//   Tokens t = tokenizer.Encode("a photo of a cat");
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/tokenizer.h"

namespace cliplens {

// By the class that the rule or tokenizer_config.json names:
//
//   T5Tokenizer, XLMRobertaTokenizer   unigram; tokenizer.json, or spiece.model and
//                                      sentencepiece.bpe.model
//   SiglipTokenizer                    spiece.model, as the sentencepiece package evaluates it
//   GemmaTokenizer, Siglip2Tokenizer   tokenizer.json: byte pairs of characters
//   BertTokenizer                      WordPiece; tokenizer.json, or vocab.txt
//   PreTrainedTokenizerFast or none    tokenizer.json: its own steps
//
// As in transformers 5.23, the classes take the vocabulary, the map of characters and for Gemma the
// template from tokenizer.json, and set normalization and splitting themselves.
//
// Immutable once loaded; Encode may be called from many threads.
class FileTokenizer {
 public:
  // Error(kNotFound) for files that are missing, Error(kCorruptData) for files that contradict
  // themselves, Error(kUnsupported) that names a class, step or setting that is not followed,
  // Error(kInvalidArgument) for a context without room for a token.
  static FileTokenizer Load(const std::filesystem::path& directory, const TextRule& rule);

  ~FileTokenizer();
  FileTokenizer(FileTokenizer&&) noexcept;
  FileTokenizer& operator=(FileTokenizer&&) noexcept;

  // See Tokenizer. Texts of at most 4 MiB.
  Tokens Encode(std::string_view text) const;
  std::vector<TextWord> Words(const Tokens& tokens) const;
  Index vocabulary_size() const;
  Index context_length() const;

 private:
  struct Impl;
  explicit FileTokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cliplens
