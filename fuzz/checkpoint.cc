// A model's directory: configuration and weights.
#include "cliplens/model/checkpoint.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(checkpoint) {
  const fuzz::Scratch scratch;
  for (const auto& [name, content] :
       fuzz::SplitParts(input, {"open_clip_config.json", "open_clip_model.safetensors"})) {
    scratch.Write(name, content);
  }
  fuzz::Guard([&] { (void)LoadCheckpoint(scratch.path()); });
}
