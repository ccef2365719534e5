// Progress of long work, reported to the caller. The library itself prints nothing.
//
//   const ProgressSink progress = [](Index done, Index total) { Print(done, total); };
#pragma once

#include <functional>
#include <mutex>
#include <utility>

#include "cliplens/base/index.h"

namespace cliplens {

// Called from time to time with the number of items done and their total (0: unknown), never by two
// threads at once. An empty function is allowed.
using ProgressSink = std::function<void(Index done, Index total)>;

// Counts what several threads have done, for a sink.
class ProgressCount {
 public:
  ProgressCount(ProgressSink sink, Index total) : sink_(std::move(sink)), total_(total) {}
  void Add(Index items) {
    if (!sink_) return;
    const std::lock_guard lock(mutex_);
    done_ += items;
    sink_(done_, total_);
  }
  // Counts items that were done before, without calling the sink.
  void Skip(Index items) { done_ += items; }

 private:
  ProgressSink sink_;
  Index total_, done_ = 0;
  std::mutex mutex_;
};

}  // namespace cliplens
