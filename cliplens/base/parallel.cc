#include "cliplens/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <sched.h>

namespace cliplens {

int ResolveThreads(int requested) {
  if (requested > 0) return requested;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    return std::max(1, CPU_COUNT(&allowed));
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void ParallelFor(int threads, Index n, const std::function<void(Index, int)>& body) {
  const int workers = static_cast<int>(std::min<Index>(ResolveThreads(threads), n));
  if (workers <= 1) {
    for (Index i = 0; i < n; ++i) body(i, 0);
    return;
  }
  std::atomic<Index> next{0};
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&](int worker) {
    for (Index i = next.fetch_add(1); i < n; i = next.fetch_add(1)) {
      try {
        body(i, worker);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
        next.store(n);
      }
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(static_cast<std::size_t>(workers - 1));
  for (int w = 1; w < workers; ++w) pool.emplace_back(run, w);
  run(0);
  for (std::thread& t : pool) t.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace cliplens
