#include "cliplens/io/npy.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(npy) {
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    const NpyArray array = ReadNpy(scratch.Write("x.npy", input));
    // What was read can be written and read again.
    WriteNpy(scratch.Write("y.npy", std::string_view()), array.values, array.shape);
    if (ReadNpy(scratch.path() / "y.npy").shape != array.shape) __builtin_trap();
  });
}
