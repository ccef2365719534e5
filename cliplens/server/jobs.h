// Long work in the background, with progress and cancelling.
//
//   Jobs jobs;
//   const std::string id = jobs.Start("labels", [](const ProgressSink& progress) {
//     for (Index i = 0; i < 100; ++i) progress(i, 100);
//   });
//   jobs.Wait(id, /*seen=*/0, std::chrono::seconds(10));   // until something is new
//   jobs.Cancel(id);                                       // its next call of `progress` throws
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cliplens/base/error.h"
#include "cliplens/base/progress.h"
#include "cliplens/report/explorer_report.h"

namespace cliplens::server {

class Jobs {
 public:
  using Work = std::function<void(const ProgressSink& progress)>;

  ~Jobs();  // cancels all and waits for them
  // Starts `work` on a thread of its own. The last 100 jobs are known. Throws std::system_error
  // where the system gives no thread.
  std::string Start(const std::string& what, Work work);
  // Throws Error(kNotFound) for a job that is not known.
  JobStatus Status(const std::string& id) const;
  // The status once its version is another than `seen`, or as it is after `time`.
  JobStatus Wait(const std::string& id, Index seen, std::chrono::milliseconds time) const;
  // Asks the job to end; it ends when it next reports progress. Throws as Status.
  void Cancel(const std::string& id);
  void CancelAll();

 private:
  struct Job;
  std::shared_ptr<Job> Find(const std::string& id) const;

  mutable std::mutex mutex_;
  std::map<Index, std::shared_ptr<Job>> jobs_;
  Index next_ = 1;
};

}  // namespace cliplens::server
