// Progress of long work, told to whoever asked for it. The library itself prints nothing.
//
//   const ProgressSink progress = [](Index done, Index total) { Print(done, total); };
#pragma once

#include <functional>

#include "cliplens/base/array.h"

namespace cliplens {

// Called from time to time with the number of items done and their total (0: unknown), never by two
// threads at once. An empty function is allowed.
using ProgressSink = std::function<void(Index done, Index total)>;

}  // namespace cliplens
