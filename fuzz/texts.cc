// Text pools, class files and templates.
#include "fuzz/fuzz.h"

#include "cliplens/dataset/text_pool.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(texts) {
  const fuzz::Scratch scratch;
  const std::filesystem::path path = scratch.Write("texts.txt", input);
  fuzz::Guard([&] {
    const TextPool pool = ReadTextPool(path);
    if (pool.texts.empty() || pool.texts.size() != pool.properties.size()) __builtin_trap();
  });
  fuzz::Guard([&] { (void)ReadClassFile(path); });
  fuzz::Guard([&] {
    for (const std::string& pattern : ReadTemplates(path.string())) {
      (void)FillTemplate(pattern, "a {} name");
    }
  });
}
