// The files of a vocabulary, in every combination that a directory may have, by both rules.
#include "cliplens/model/vocabulary.h"

#include "fuzz/fuzz.h"

#include "cliplens/model/tokenizer.h"

using namespace cliplens;

namespace {

void Encode(const Tokenizer& tokenizer) {
  for (const char* text : {"", "low lower lowest", "\xC3\xA9\xF0\x9F\x8D\x93 0 '<|endoftext|>"}) {
    fuzz::Guard([&] {
      const Tokens tokens = tokenizer.Encode(text);
      if (tokens.end < 0 || tokens.end >= static_cast<Index>(tokens.ids.size())) __builtin_trap();
      for (const std::int32_t id : tokens.ids) {
        if (id < 0 || id >= tokenizer.vocabulary_size()) __builtin_trap();
      }
    });
  }
}

}  // namespace

CLIPLENS_FUZZ_TARGET(vocabulary) {
  const fuzz::Scratch scratch;
  for (const auto& [name, content] : fuzz::SplitParts(
           input, {"vocab.json", "merges.txt", "tokenizer.json", "special_tokens_map.json",
                   "tokenizer_config.json", "added_tokens.json"})) {
    scratch.Write(name, content);
  }
  fuzz::Guard([&] {
    if (ReadVocabulary(scratch.path())) Encode(Tokenizer::Load(scratch.path(), 8));
  });
  fuzz::Guard([&] { Encode(Tokenizer::LoadHuggingFace(scratch.path(), 8, 2)); });
}
