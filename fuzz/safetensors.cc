#include "cliplens/io/safetensors.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(safetensors) {
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    const SafetensorsFile file(scratch.Write("x.safetensors", input));
    for (const auto& named : file.tensors()) {
      const TensorEntry& entry = named.second;
      fuzz::Guard([&] { (void)file.ReadAsFloat(entry); });
      fuzz::Guard([&] { (void)file.ReadNumbers(entry); });
    }
    fuzz::Guard([&] { (void)file.at("missing"); });
  });
}
