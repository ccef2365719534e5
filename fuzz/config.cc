// A model's configuration.
#include "cliplens/model/config.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(config) {
  fuzz::Guard([&] {
    const ModelConfig config =
        ParseOpenClipConfig(ParseJson(fuzz::AsText(input), "open_clip_config.json"), "config");
    (void)DumpJson(ToJson(config));
    if (config.vision.head_width() * config.vision.heads != config.vision.width) __builtin_trap();
    if (config.tokens() < 2) __builtin_trap();
  });
}
