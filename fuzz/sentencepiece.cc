// sentencepiece's model files, by its own rule: the message, the map of characters, the pieces.
#include "cliplens/model/sentencepiece.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(sentencepiece) {
  fuzz::Guard([&] {
    const SentencePiece encoder(ParseSentencePieceModel(fuzz::AsText(input), "spiece.model"));
    const auto pieces = static_cast<std::int32_t>(encoder.unigram().vocabulary().pieces.size());
    for (const char* text : {"", "a cat  ",
                             "\xEF\xAC\x81"
                             "a e\xCC\x81\xE2\x96\x81\n\xF0\x9F\x8D\x93"}) {
      std::vector<std::int32_t> ids;
      encoder.Encode(text, ids);
      for (const std::int32_t id : ids) {
        if (id < 0 || id >= pieces) __builtin_trap();
      }
    }
  });
}
