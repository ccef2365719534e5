// Weights in several files behind an index.
#include "fuzz/fuzz.h"

#include "cliplens/io/tensor_file.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(sharded) {
  const fuzz::Scratch scratch;
  constexpr const char* kIndex = "model.safetensors.index.json";
  for (const auto& [name, content] :
       fuzz::SplitParts(input, {kIndex, "a.safetensors", "b.safetensors", "c.bin"})) {
    scratch.Write(name, content);
  }
  fuzz::Guard([&] {
    const auto file = OpenTensorFile(scratch.path() / kIndex);
    for (const auto& named : file->tensors()) {
      (void)file->FileOf(named.first);
      fuzz::Guard([&] { (void)file->ReadAsFloat(named.first); });
    }
    (void)file->files();
  });
}
