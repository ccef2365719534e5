#include "cliplens/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sched.h>

namespace cliplens {
namespace {

// The error of the task with the least index. Every task before one that failed was handed out
// before it and runs to its end, so this is the error that one thread would have met.
class FirstError {
 public:
  // Called in a handler.
  void Keep(Index task) {
    const std::lock_guard lock(mutex_);
    if (error_ && task_ < task) return;
    error_ = std::current_exception();
    task_ = task;
  }

  // Throws what was kept, if anything, and forgets it.
  void Throw() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  Index task_ = 0;
};

// Adds threads that run `work`, up to `count`. Fewer where the system gives no more of them (a
// limit on processes or memory): the others then do their tasks too.
template <typename Work>
void AddThreads(std::vector<std::thread>& pool, int count, const Work& work) {
  pool.reserve(ToSize(std::max(count, 0)));
  try {
    for (int w = 1; w <= count; ++w) pool.emplace_back(work, w);
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch)
  } catch (const std::bad_alloc&) {     // NOLINT(bugprone-empty-catch)
  }
}

}  // namespace

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
  FirstError error;
  const auto run = [&](int worker) {
    for (Index i = next.fetch_add(1); i < n; i = next.fetch_add(1)) {
      try {
        body(i, worker);
      } catch (...) {
        error.Keep(i);
        next.store(n);
      }
    }
  };
  std::vector<std::thread> pool;
  AddThreads(pool, workers - 1, run);
  run(0);
  for (std::thread& t : pool) t.join();
  error.Throw();
}

struct Team::Shared {
  explicit Shared(int threads) {
    AddThreads(pool, threads - 1, [this](int) { Serve(); });
  }

  ~Shared() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    for (std::thread& t : pool) t.join();
  }

  void Run(Index count, const std::function<void(Index)>& loop) {
    {
      const std::lock_guard lock(mutex);
      n = count;
      body = &loop;
      next.store(0, std::memory_order_relaxed);
      active.store(static_cast<int>(pool.size()), std::memory_order_relaxed);
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    Work();
    // Every helper reports, so that none of them can take a task of the next loop for this one's.
    while (active.load(std::memory_order_acquire) > 0) std::this_thread::yield();
    error.Throw();
  }

  std::vector<std::thread> pool;

 private:
  void Work() {
    for (Index i = next.fetch_add(1); i < n; i = next.fetch_add(1)) {
      try {
        (*body)(i);
      } catch (...) {
        error.Keep(i);
        next.store(n);
      }
    }
  }

  void Serve() {
    constexpr int kLooks = 4'000;  // about 20 µs
    std::uint64_t seen = 0;
    for (;;) {
      for (int i = 0; i < kLooks && generation.load(std::memory_order_acquire) == seen; ++i) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      ++seen;
      if (stop.load(std::memory_order_acquire)) return;
      Work();
      active.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<Index> next{0};
  std::atomic<int> active{0};
  std::atomic<bool> stop{false};
  Index n = 0;
  const std::function<void(Index)>* body = nullptr;
  FirstError error;
};

Team::Team(int threads) : shared_(threads > 1 ? std::make_unique<Shared>(threads) : nullptr) {}
Team::~Team() = default;
Team::Team(Team&&) noexcept = default;
Team& Team::operator=(Team&&) noexcept = default;

int Team::threads() const { return shared_ ? static_cast<int>(shared_->pool.size()) + 1 : 1; }

void Team::Run(Index n, const std::function<void(Index)>& body) {
  if (!shared_ || n <= 1) {
    for (Index i = 0; i < n; ++i) body(i);
    return;
  }
  shared_->Run(n, body);
}

}  // namespace cliplens
