// Parallel loops over independent tasks.
//
//   std::vector<double> roots(1000);
//   ParallelFor(/*threads=*/4, 1000, [&](Index i, int) { At(roots, i) = std::sqrt(i); });
//
// Tasks are handed out one by one in order of index; each runs whole on one thread, so a task's
// result does not depend on the number of threads. `worker` is in [0, threads) and unique among the
// tasks that run at the same moment. An exception stops the loop; the caller gets that of the task
// with the least index, so the same one for any number of threads.
#pragma once

#include <functional>
#include <memory>

#include "cliplens/base/array.h"

namespace cliplens {

// Threads to use for `requested` (0: all that this process may run on).
int ResolveThreads(int requested);

void ParallelFor(int threads, Index n, const std::function<void(Index task, int worker)>& body);

// Threads that stay between loops, for short loops one after the other (some 5 µs a loop; they
// watch for the next one for about 20 µs and sleep after).
class Team {
 public:
  explicit Team(int threads = 1);  // the caller of Run is one of them
  ~Team();
  Team(Team&&) noexcept;
  Team& operator=(Team&&) noexcept;

  int threads() const;
  // As ParallelFor. Not to be called by two threads at once, nor from within `body`.
  void Run(Index n, const std::function<void(Index task)>& body);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;  // null for one thread
};

}  // namespace cliplens
