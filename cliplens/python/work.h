// Long work for Python: without its lock, with progress, and ended by Ctrl-C.
//
//   return RunUnlocked(on_progress, [&](const ProgressFor& progress) {
//     return model.EmbedTexts(texts, truncate, threads, progress("texts"));
//   });
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <nanobind/nanobind.h>

#include "cliplens/base/progress.h"

namespace cliplens::python {

// The sink of a stage. Once the work is to end, its next call throws what ends it.
using ProgressFor = std::function<ProgressSink(const std::string& stage)>;

// Runs `body` on a thread of its own, with a stack as large as the first thread's, while this one
// waits without Python's lock, calls `on_progress(stage, done, total)` some times a second unless
// it is None, and looks for signals. An exception of either (KeyboardInterrupt) asks the work to
// end, and is thrown once it has. Throws what `body` throws.
void RunUnlockedVoid(const nanobind::object& on_progress,
                     const std::function<void(const ProgressFor&)>& body);

template <typename Body>
auto RunUnlocked(const nanobind::object& on_progress, Body body) {
  using Result = std::invoke_result_t<Body, const ProgressFor&>;
  std::optional<Result> result;
  RunUnlockedVoid(on_progress,
                  [&](const ProgressFor& progress) { result.emplace(body(progress)); });
  return std::move(*result);
}

}  // namespace cliplens::python
