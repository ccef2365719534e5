// Any text through the tokenizer: repair, clean-up, byte pairs.
#include "cliplens/model/tokenizer.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(tokenizer) {
  static const Tokenizer tokenizer = Tokenizer::FromMerges({{"t", "h"},
                                                            {"th", "e</w>"},
                                                            {"a", "n"},
                                                            {"an", "d</w>"},
                                                            {"i", "n"},
                                                            {"r", "e"},
                                                            {"l", "o"},
                                                            {"lo", "w</w>"},
                                                            {"e", "r</w>"},
                                                            {"\xC3\x83", "\xC2\xA9"}},
                                                           77);
  fuzz::Guard([&] {
    const Tokens tokens = tokenizer.Encode(fuzz::AsText(input));
    if (tokens.ids.size() != 77 || tokens.end < 1 || tokens.end > 76) __builtin_trap();
    for (const std::int32_t id : tokens.ids) {
      if (id < 0 || id >= tokenizer.vocabulary_size()) __builtin_trap();
    }
  });
}
