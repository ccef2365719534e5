// The tokenizer of a model: CLIP's byte pairs, and those of CLIP's relatives.
//
//   const Tokenizer tokenizer = Tokenizer::Load("models/pictureworld", 32);
//   Tokens t = tokenizer.Encode("a photo of a cat");   // ids [context], EOT position
//
// By the rule kOpenClip, ids equal those of open_clip's SimpleTokenizer on any text: repair by ftfy
// (mojibake included), character references, lower-casing and byte-pair encoding
// (cliplens/model/text_clean.h, byte_pairs.h). By kHuggingFace, ids equal those of transformers'
// CLIPTokenizer (hugging_face_vocabulary.h, hugging_face_split.h). tests/parity compares both on
// every code point and on texts of many scripts, with Python 3.11, ftfy 6.3.1 and regex 2026.11.15,
// and with transformers 5.23 on tokenizers 0.23. LoadFiles reads the tokenizers of other models
// (sentencepiece, Gemma, WordPiece), with the ids of transformers and sentencepiece.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/text_rule.h"

namespace cliplens {

struct Tokens {
  std::vector<std::int32_t> ids;  // [context]: start, text, end, padding
  Index count = 0;                // of the ids without the padding
  Index words = 0;                // of the ids that the text itself gave, without start and end
  // The row that is pooled: that of the first end token, or as ModelConfig::eos_token_id says. Ids
  // follow it only if the text itself spells an end token, or padding is attended to (TextRule).
  Index end = 0;
  bool truncated = false;  // the text was longer than the context
};

// What a tokenizer gives behind the end token, for CLIP's byte pairs.
enum class TextTail {
  kPadding,
  // A row that stands for the text, the one that is pooled (CoCa's). Between the two lies a place
  // of padding if there is room, which the model reads. The ids have a place more than the context.
  kClassRow,
};

// Tokens [begin, end) that spell one word of the text, as the tokenizer cleaned it.
struct TextWord {
  std::string text;  // not always UTF-8: the text may have been cut within a character
  Index begin = 0, end = 0;
};
// The words that stand for the start and the end of a text.
inline constexpr char kStartWord[] = "\u2039start\u203a";
inline constexpr char kEndWord[] = "\u2039end\u203a";
// And for the padding of models that attend to it, all of it together.
inline constexpr char kPaddingWord[] = "\u2039padding\u203a";
inline constexpr char kClassWord[] = "\u2039class\u203a";

class FileTokenizer;

class Tokenizer {
 public:
  // kOpenClip: the vocabulary beside a model (`vocab.json` + `merges.txt`, or `tokenizer.json`, or
  // `merges.txt` alone, numbered as open_clip does), else CLIP's own of 49,408 tokens, else
  // Error(kNotFound). An empty path means CLIP's own. A vocabulary that contradicts itself is
  // Error(kCorruptData), one of another kind Error(kUnsupported) (cliplens/model/vocabulary.h).
  // A model with a tokenizer of its own (`own_name`, not empty) never gets CLIP's.
  static Tokenizer Load(const std::filesystem::path& directory, Index context_length,
                        const std::string& own_name = "", TextTail tail = TextTail::kPadding);
  // kHuggingFace: see ReadHuggingFaceVocabulary. Texts are cut to the context or to the files'
  // model_max_length, whichever is less. `eos_token_id` is the configuration's (ModelConfig);
  // Error(kUnsupported) if it is neither 2 nor the id that ends a text, since transformers would
  // then pool the same row for every text.
  static Tokenizer LoadHuggingFace(const std::filesystem::path& directory, Index context_length,
                                   Index eos_token_id);
  // The tokenizer whose files are in a directory: `tokenizer.json`, or sentencepiece's
  // `spiece.model` or `sentencepiece.bpe.model`, or `vocab.txt`, with tokenizer_config.json. See
  // FileTokenizer. Where there are none the message says `own_name`, if it is not empty.
  static Tokenizer LoadFiles(const std::filesystem::path& directory, const TextRule& rule,
                             const std::string& own_name = "");
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

  // The words of a text that Encode gave, from its start to the token that is pooled. Where padding
  // is attended to, that is the last, and the padding is one word, kPaddingWord.
  std::vector<TextWord> Words(const Tokens& tokens) const;

  // The highest id plus one: the number of rows that a token embedding needs.
  Index vocabulary_size() const;
  Index context_length() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  explicit Tokenizer(std::unique_ptr<FileTokenizer> files);
  std::unique_ptr<Impl> impl_;
  std::unique_ptr<FileTokenizer> files_;  // instead of impl_
};

}  // namespace cliplens
