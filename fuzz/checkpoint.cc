// A model's directory in any layout, or a checkpoint file alone.
#include "cliplens/model/checkpoint.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(checkpoint) {
  const fuzz::Scratch scratch;
  const auto parts = fuzz::SplitParts(
      input, {"open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
              "config.json", "preprocessor_config.json", "model.safetensors",
              "model.safetensors.index.json", "pytorch_model.bin", "alone.pt", "arch.json"});
  for (const auto& [name, content] : parts) scratch.Write(name, content);
  fuzz::Guard([&] { (void)LoadConfig(scratch.path()); });
  fuzz::Guard([&] { (void)LoadCheckpoint(scratch.path()); });
  if (!parts.contains("alone.pt")) return;
  for (const std::string& architecture :
       {std::string(), std::string("openai"), std::string("ViT-B-32"),
        (scratch.path() / "arch.json").string()}) {
    fuzz::Guard([&] { (void)LoadCheckpoint(scratch.path() / "alone.pt", architecture); });
  }
}
