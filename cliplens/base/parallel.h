// Parallel loops over independent tasks.
//
//   std::vector<double> roots(1000);
//   ParallelFor(/*threads=*/4, 1000, [&](Index i, int) { At(roots, i) = std::sqrt(i); });
//
// Tasks are handed out one by one in order of index; each runs whole on one thread, so a task's
// result does not depend on the number of threads. `worker` is in [0, threads) and unique among the
// tasks that run at the same moment. An exception stops the loop. The caller gets the exception of
// the task with the lowest index, which is the same for any number of threads. Where the system
// gives no more threads, those that there are do all tasks.
#pragma once

#include <functional>
#include <memory>

#include "cliplens/base/array.h"

namespace cliplens {

// Threads to use for `requested` (0: all that this process may run on).
int ResolveThreads(int requested);

void ParallelFor(int threads, Index n, const std::function<void(Index task, int worker)>& body);

// Threads that stay alive between loops, for many short loops in a row. A loop costs about 5 µs.
// After a loop the threads spin for about 20 µs and then sleep.
class Team {
 public:
  explicit Team(int threads = 1);  // the caller of Run is one of them
  ~Team();
  Team(Team&&) noexcept;
  Team& operator=(Team&&) noexcept;

  int threads() const;
  // As ParallelFor. Two threads must not call it at once, and `body` must not call it.
  void Run(Index n, const std::function<void(Index task)>& body);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;  // null for one thread
};

}  // namespace cliplens
