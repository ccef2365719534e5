// A pickle on its own; what comes out must hold together.
#include "cliplens/io/pickle.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(pickle) {
  const auto known = [](std::string_view name) {
    return name.starts_with("torch.") || name.starts_with("collections.") ||
           name.starts_with("builtins.") || name.starts_with("__torch__.");
  };
  fuzz::Guard([&] {
    const Pickle pickle = ReadPickle(input, "x.pkl", known);
    if (pickle.root >= pickle.objects.size() || pickle.size > input.size()) __builtin_trap();
    for (const PickleObject& object : pickle.objects) {
      (void)NameOf(object.kind);
      if (object.state != kNoPickleRef && object.state >= pickle.objects.size()) __builtin_trap();
      for (const PickleRef item : object.items) {
        if (item >= pickle.objects.size()) __builtin_trap();
      }
      if (object.kind == PickleKind::kDict && object.items.size() % 2 != 0) __builtin_trap();
      if (object.kind == PickleKind::kName && !known(object.text)) __builtin_trap();
    }
  });
}
