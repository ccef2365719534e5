// A packed archive of CIFAR: the input as it is, and as the tar archive in a valid one, whose
// checksum would else keep every change from what lies behind it.
#include "fuzz/fuzz.h"
#include "tests/gzip_builder.h"

#include "cliplens/dataset/image_set.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(cifar) {
  const fuzz::Scratch scratch;
  const std::string packed = Gzip(std::string(fuzz::AsText(input)));
  for (const std::string_view archive : {fuzz::AsText(input), std::string_view(packed)}) {
    fuzz::Guard([&] {
      const auto set = OpenImageSet(scratch.Write("cifar.tar.gz", archive), {.split = "test"});
      if (set->size() < 1) __builtin_trap();
      for (Index i = 0; i < set->size(); ++i) {
        fuzz::Guard([&] { (void)set->item(i); });
        fuzz::Guard([&] { (void)set->Read(i); });
      }
    });
  }
}
