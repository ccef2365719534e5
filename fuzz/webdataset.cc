// A tar shard and all that its items hold.
#include "fuzz/fuzz.h"

#include "cliplens/dataset/image_set.h"
#include "cliplens/io/printable.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(webdataset) {
  const fuzz::Scratch scratch;
  const std::filesystem::path path = scratch.Write("x.tar", input);
  for (const OnError on_error : {OnError::kStop, OnError::kSkip}) {
    fuzz::Guard([&] {
      const auto set = OpenImageSet(path, {.on_error = on_error});
      if (set->size() < 1) __builtin_trap();
      for (const std::string& line : LinesOf(set->left_out())) {
        if (line.empty()) __builtin_trap();
      }
      for (Index i = 0; i < set->size(); ++i) {
        fuzz::Guard([&] {
          const Item item = set->item(i);
          if (FindInvalidUtf8(item.path) != std::string::npos) __builtin_trap();
        });
        fuzz::Guard([&] { (void)set->Read(i); });
        fuzz::Guard([&] { (void)set->ReadMask(i); });
      }
    });
  }
}
