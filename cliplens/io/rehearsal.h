// Work on a hostile file by a library that may crash on it, tried in a process of its own first.
#pragma once

#include <functional>
#include <string>

namespace cliplens {

// Runs `work` in a child process, where nothing that it does is seen, and waits. Whether it throws
// there is of no account: the caller will meet the same error. Error(kCorruptData) that begins with
// `name`, when the child ends otherwise than by itself or takes longer than `seconds`.
void Rehearse(const std::string& name, const std::function<void()>& work, int seconds);

}  // namespace cliplens
