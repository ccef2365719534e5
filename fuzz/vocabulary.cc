// The files of a vocabulary, in every combination that a directory may have.
#include "cliplens/model/vocabulary.h"

#include "fuzz/fuzz.h"

#include "cliplens/model/tokenizer.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(vocabulary) {
  const fuzz::Scratch scratch;
  for (const auto& [name, content] :
       fuzz::SplitParts(input, {"vocab.json", "merges.txt", "tokenizer.json",
                                "special_tokens_map.json", "tokenizer_config.json"})) {
    scratch.Write(name, content);
  }
  fuzz::Guard([&] {
    if (!ReadVocabulary(scratch.path())) return;
    const Tokenizer tokenizer = Tokenizer::Load(scratch.path(), 8);
    for (const char* text : {"", "low lower lowest", "\xC3\xA9\xF0\x9F\x8D\x93 0 '"}) {
      fuzz::Guard([&] {
        for (const std::int32_t id : tokenizer.Encode(text).ids) {
          if (id < 0 || id >= tokenizer.vocabulary_size()) __builtin_trap();
        }
      });
    }
  });
}
