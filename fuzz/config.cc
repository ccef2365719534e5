// A model's configuration, as open_clip and as Hugging Face write it.
#include "cliplens/model/config.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

namespace {

void Check(const ModelConfig& config) {
  (void)DumpJson(ToJson(config));
  if (config.vision.head_width() * config.vision.heads != config.vision.width) __builtin_trap();
  if (config.text.head_width() * config.text.heads != config.text.width) __builtin_trap();
  if (config.tokens() < 2) __builtin_trap();
}

}  // namespace

CLIPLENS_FUZZ_TARGET(config) {
  fuzz::Guard([&] {
    const Json json = ParseJson(fuzz::AsText(input), "x.json");
    fuzz::Guard([&] { Check(ParseOpenClipConfig(json, "open_clip_config.json")); });
    fuzz::Guard([&] { Check(ParseHuggingFaceConfig(json, "config.json")); });
  });
}
