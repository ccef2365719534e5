// The entry point of libFuzzer, for a program with one target.
#include <cstddef>
#include <cstdint>

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const cliplens::fuzz::Target target = cliplens::fuzz::Targets().begin()->second;
  target({data, size});
  return 0;
}
