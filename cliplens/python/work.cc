#include "cliplens/python/work.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace cliplens::python {
namespace nb = nanobind;
namespace {

struct Ended {};  // thrown by sinks once the work is to end

struct Stage {
  std::string name;
  Index done = 0, total = 0;
  bool operator==(const Stage&) const = default;
};

struct Watched {
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
  Stage stage;
  std::exception_ptr error;
  std::atomic<bool> end = false;
};

constexpr std::chrono::milliseconds kLook{50};

}  // namespace

void RunUnlockedVoid(const nb::object& on_progress,
                     const std::function<void(const ProgressFor&)>& body) {
  Watched watched;
  const ProgressFor progress = [&watched](const std::string& stage) -> ProgressSink {
    return [&watched, stage](Index done, Index total) {
      if (watched.end) throw Ended();
      const std::scoped_lock lock(watched.mutex);
      watched.stage = {stage, done, total};
    };
  };
  std::optional<nb::python_error> interruption;
  {
    const nb::gil_scoped_release unlocked;
    std::thread thread([&] {
      std::exception_ptr error;
      try {
        body(progress);
      } catch (const Ended&) {
      } catch (...) {
        error = std::current_exception();
      }
      const std::scoped_lock lock(watched.mutex);
      watched.error = error;
      watched.over = true;
      watched.changed.notify_all();
    });
    Stage told;
    for (std::unique_lock lock(watched.mutex); !watched.over;) {
      watched.changed.wait_for(lock, kLook);
      const Stage stage = watched.stage;
      lock.unlock();
      if (!interruption) {
        const nb::gil_scoped_acquire locked;
        try {
          if (PyErr_CheckSignals() != 0) throw nb::python_error();
          if (!on_progress.is_none() && !(stage == told)) {
            on_progress(stage.name, stage.done, stage.total);
          }
          told = stage;
        } catch (nb::python_error& error) {
          interruption.emplace(std::move(error));
          watched.end = true;
        }
      }
      lock.lock();
    }
    thread.join();
  }
  if (interruption) throw nb::python_error(std::move(*interruption));
  if (watched.error) std::rethrow_exception(watched.error);
}

}  // namespace cliplens::python
