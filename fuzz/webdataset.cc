// A tar shard and all that its items hold.
#include "fuzz/fuzz.h"

#include "cliplens/dataset/image_set.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(webdataset) {
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    const auto set = OpenImageSet(scratch.Write("x.tar", input));
    if (set->size() < 1) __builtin_trap();
    for (Index i = 0; i < set->size(); ++i) {
      fuzz::Guard([&] { (void)set->item(i); });
      fuzz::Guard([&] { (void)set->Read(i); });
      fuzz::Guard([&] { (void)set->ReadMask(i); });
    }
  });
}
