// CLIP's byte-pair tokenizer.
//
//   const Tokenizer tokenizer = Tokenizer::Load(directory, context_length);
//   Tokens t = tokenizer.Encode("a photo of a cat");   // ids [context], EOT position
//
// Ids equal open_clip's SimpleTokenizer on any text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

struct Tokens {
  std::vector<std::int32_t> ids;  // [context]: start, text, end, zeros
  Index end = 0;                  // position of the end-of-text token: its row is pooled
  bool truncated = false;         // the text was longer than the context
};

class Tokenizer {
 public:
  // The vocabulary beside a model (`vocab.json` + `merges.txt`, or `tokenizer.json`), else CLIP's
  // own of 49,408 tokens, else Error(kNotFound).
  static Tokenizer Load(const std::filesystem::path& directory, Index context_length);
  // From the lines of a merges file.
  static Tokenizer FromMerges(const std::vector<std::pair<std::string, std::string>>& merges,
                              Index context_length);

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Texts longer than the context are cut and end in the end token, as the reference does.
  Tokens Encode(std::string_view text) const;

  Index vocabulary_size() const;
  Index context_length() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cliplens
