// The files of other models' tokenizers, in every combination that a directory may have.
#include "fuzz/fuzz.h"

#include "cliplens/model/tokenizer.h"

using namespace cliplens;

namespace {

// A class that the model's configuration may name in place of the files' own.
const char* ClassOf(std::span<const std::uint8_t> input) {
  constexpr const char* kClasses[] = {
      "T5Tokenizer",     "XLMRobertaTokenizer", "GemmaTokenizer",         "BertTokenizer",
      "SiglipTokenizer", "Siglip2Tokenizer",    "PreTrainedTokenizerFast"};
  return kClasses[input.size() % std::size(kClasses)];
}

}  // namespace

CLIPLENS_FUZZ_TARGET(token_files) {
  const fuzz::Scratch scratch;
  for (const auto& [name, content] : fuzz::SplitParts(
           input, {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                   "added_tokens.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model"})) {
    scratch.Write(name, content);
  }
  const TextRule rules[] = {
      {.context_length = 8, .fills_context = true},
      {.context_length = 8, .cleaning = TextCleaning::kCanonicalize},
      {.context_length = 8, .fills_context = true, .strips_separator = true, .pad = 0},
      {.context_length = 8, .fills_context = true, .tokenizer_class = ClassOf(input)}};
  for (const TextRule& rule : rules) {
    fuzz::Guard([&] {
      const Tokenizer tokenizer = Tokenizer::LoadFiles(scratch.path(), rule);
      for (const char* text :
           {"", "a Cat, e\xCC\x81\xEF\xAC\x81  ", "<x>a</s> \xE7\x8C\xAB\xF0\x9F\x8D\x93 ##a"}) {
        const Tokens tokens = tokenizer.Encode(text);
        if (tokens.ids.size() != 8 || tokens.end < 0 || tokens.end > 7) __builtin_trap();
        if (tokens.words < 0 || tokens.count > 8) __builtin_trap();
        for (const std::int32_t id : tokens.ids) {
          if (id < 0 || id >= tokenizer.vocabulary_size()) __builtin_trap();
        }
        (void)tokenizer.Words(tokens);
      }
    });
  }
}
