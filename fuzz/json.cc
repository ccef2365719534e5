// JSON as such; what is read must be written and read back as the same value.
#include "cliplens/io/json.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(json) {
  fuzz::Guard([&] {
    const Json value = ParseJson(fuzz::AsText(input), "x.json");
    if (ParseJson(DumpJson(value), "again") != value) __builtin_trap();
    for (const char* key : {"a", "id"}) {
      fuzz::Guard([&] { (void)JsonField<std::int64_t>(value, key, "x.json"); });
      fuzz::Guard([&] { (void)JsonField<double>(value, key, "x.json"); });
      fuzz::Guard([&] { (void)JsonField<std::string>(value, key, "x.json"); });
    }
  });
}
