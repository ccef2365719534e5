// A MATLAB 5 file.
#include "cliplens/io/matlab5.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(matlab5) {
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    for (const auto& [name, value] : ReadMatlab5(scratch.Write("x.mat", input))) {
      for (const std::string& field : value.fields) {
        for (Index i = 0; i < value.size; ++i) (void)value.Field(i, field);
      }
    }
  });
}
