// CLIP's byte-pair tokenizer.
//
//   const Tokenizer tokenizer = Tokenizer::Load(directory, context_length);
//   Tokens t = tokenizer.Encode("a photo of a cat");   // ids [context], EOT position
//
// Ids equal those of open_clip's SimpleTokenizer on any text: repair by ftfy (mojibake included),
// character references, lower-casing and byte-pair encoding (cliplens/model/text_clean.h,
// byte_pairs.h). Compared on every code point and on texts of many scripts by
// tests/parity/tokenizer_parity.py, with Python 3.11, ftfy 6.3.1 and regex 2026.11.15.
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
  // The vocabulary beside a model (`vocab.json` + `merges.txt`, or `tokenizer.json`, or
  // `merges.txt` alone, numbered as open_clip does), else CLIP's own of 49,408 tokens (an empty
  // path means these at once), else
  // Error(kNotFound). A vocabulary that contradicts itself is Error(kCorruptData), one of another
  // kind Error(kUnsupported) (cliplens/model/vocabulary.h).
  static Tokenizer Load(const std::filesystem::path& directory, Index context_length);
  // From the lines of a merges file; ids as open_clip numbers them.
  static Tokenizer FromMerges(const std::vector<std::pair<std::string, std::string>>& merges,
                              Index context_length);

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Texts longer than the context are cut and end in the end token, as the reference does.
  // Thread-safe. Throws Error(kInvalidArgument) with the byte offset if the text is not UTF-8,
  // Error(kExhausted) above 64 MiB or when its repair would take hours.
  Tokens Encode(std::string_view text) const;

  // The highest id and one: the rows that a token embedding needs.
  Index vocabulary_size() const;
  Index context_length() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cliplens
