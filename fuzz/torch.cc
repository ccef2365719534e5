// A PyTorch file of any kind and every tensor of it.
#include "fuzz/fuzz.h"

#include "cliplens/io/torch_file.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(torch) {
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    const auto file = OpenTorchFile(scratch.Write("x.pt", input));
    (void)file->kind();
    for (const auto& named : file->tensors()) {
      const std::string& name = named.first;
      Index count = 1;
      for (const Index size : named.second.shape) count *= size;
      fuzz::Guard([&] {
        if (static_cast<Index>(file->ReadAsFloat(name).size()) != count) __builtin_trap();
      });
      fuzz::Guard([&] { (void)file->ReadScalar(name); });
    }
    fuzz::Guard([&] { (void)file->ReadAsFloat("missing"); });
  });
}
