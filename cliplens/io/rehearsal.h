// Calls a library that may crash on a hostile file in a child process first.
//
//   Rehearse("scan.mat", [] { Hdf5File("scan.mat").ReadReferences("/value/img", 1000); },
//            /*seconds=*/60);
#pragma once

#include <functional>
#include <string>

namespace cliplens {

// Runs `work` in a child process and waits for it. An exception in the child is ignored, since the
// caller then does the same work and meets the same error. Throws Error(kCorruptData) that begins
// with `name` if the child crashes or takes longer than `seconds`.
void Rehearse(const std::string& name, const std::function<void()>& work, int seconds);

}  // namespace cliplens
