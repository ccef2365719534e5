#include "cliplens/server/jobs.h"

#include <exception>
#include <new>
#include <tuple>
#include <utility>

#include "cliplens/base/memory_reserve.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/printable.h"

namespace cliplens::server {
namespace {

constexpr std::size_t kKnownJobs = 100;

struct Cancelled {};

}  // namespace

struct Jobs::Job {
  std::mutex mutex;
  std::condition_variable changed;
  JobStatus status;
  std::atomic<bool> cancel = false;
  std::thread thread;

  ~Job() {
    if (thread.joinable()) thread.join();
  }
  void Change(const std::function<void(JobStatus&)>& change) {
    const std::scoped_lock lock(mutex);
    change(status);
    ++status.version;
    changed.notify_all();
  }
  void Run(const Work& work) {
    JobState state = JobState::kDone;
    std::string code, message;
    try {
      RenewMemoryReserve();
      work([this](Index done, Index total) {
        if (cancel) throw Cancelled();
        Change([&](JobStatus& s) {
          s.done = done;
          s.total = total;
        });
      });
    } catch (const Cancelled&) {
      state = JobState::kCancelled;
    } catch (const std::exception& error) {
      state = JobState::kFailed;
      std::tie(code, message) = Describe(error);
    }
    // Nothing is allocated here: the thread must come to its end.
    const auto end = [&](JobStatus& s) {
      s.state = state;
      s.error_code.swap(code);
      s.error_message.swap(message);
    };
    Change(std::ref(end));
  }

 private:
  static std::pair<std::string, std::string> Describe(const std::exception& error) {
    try {
      const Error known = ErrorFrom(error);
      return {InfoOf(known.code()).name, known.what()};
    } catch (const std::bad_alloc&) {
      return {"exhausted", "out of memory"};  // short texts take none
    }
  }
};

Jobs::~Jobs() { CancelAll(); }

std::string Jobs::Start(const std::string& what, Work work) {
  const std::scoped_lock lock(mutex_);
  // The oldest that have ended are forgotten.
  for (auto job = jobs_.begin(); job != jobs_.end() && jobs_.size() >= kKnownJobs;) {
    const bool ended = [&] {
      const std::scoped_lock job_lock(job->second->mutex);
      return job->second->status.state != JobState::kRunning;
    }();
    job = ended ? jobs_.erase(job) : std::next(job);
  }
  if (jobs_.size() >= kKnownJobs) {
    throw Error(ErrorCode::kExhausted, "{} jobs are running; wait for one or cancel it",
                jobs_.size());
  }
  const auto job = std::make_shared<Job>();
  job->status.id = fmt::format("j{}", next_);
  job->status.what = what;
  const auto place = jobs_.emplace(next_, job).first;
  try {
    // The map keeps the job for as long as its thread runs.
    job->thread = std::thread([job = job.get(), work = std::move(work)] { job->Run(work); });
  } catch (...) {
    jobs_.erase(place);
    throw;
  }
  ++next_;
  return job->status.id;
}

std::shared_ptr<Jobs::Job> Jobs::Find(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  if (id.starts_with('j')) {
    const auto found = jobs_.find(ParseNumber<Index>(id.substr(1)).value_or(0));
    if (found != jobs_.end()) return found->second;
  }
  throw Error(ErrorCode::kNotFound,
              "there is no job {}; it may have been forgotten, start it again", Printable(id));
}

JobStatus Jobs::Status(const std::string& id) const {
  const std::shared_ptr<Job> job = Find(id);
  const std::scoped_lock lock(job->mutex);
  return job->status;
}

JobStatus Jobs::Wait(const std::string& id, Index seen, std::chrono::milliseconds time) const {
  const std::shared_ptr<Job> job = Find(id);
  std::unique_lock lock(job->mutex);
  job->changed.wait_for(lock, time, [&] { return job->status.version != seen; });
  return job->status;
}

void Jobs::Cancel(const std::string& id) { Find(id)->cancel = true; }

void Jobs::CancelAll() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [number, job] : jobs_) job->cancel = true;
}

}  // namespace cliplens::server
