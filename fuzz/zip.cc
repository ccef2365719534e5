// A zip archive and every entry of it.
#include "cliplens/io/zip.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(zip) {
  constexpr Index kLargest = Index{1} << 20;
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    const ZipArchive zip(scratch.Write("x.zip", input));
    for (const ZipEntry& entry : zip.entries()) {
      if (zip.Find(entry.name) == nullptr) __builtin_trap();
      if (entry.size > kLargest) continue;
      fuzz::Guard([&] { (void)zip.Read(entry, 0, entry.size); });
      fuzz::Guard([&] { (void)zip.Read(entry, entry.size / 2, entry.size - entry.size / 2); });
    }
  });
}
