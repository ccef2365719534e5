#include "cliplens/server/jobs.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens::server {
namespace {

using std::chrono::milliseconds;

JobStatus WaitForEnd(const Jobs& jobs, const std::string& id) {
  JobStatus status = jobs.Status(id);
  while (status.state == JobState::kRunning) {
    status = jobs.Wait(id, status.version, milliseconds(1'000));
  }
  return status;
}

TEST(Jobs, TellTheirProgressAndEnd) {
  Jobs jobs;
  const std::string id = jobs.Start("labels", [](const ProgressSink& progress) {
    for (Index i = 0; i <= 3; ++i) progress(i, 3);
  });
  const JobStatus status = WaitForEnd(jobs, id);
  EXPECT_EQ(status.state, JobState::kDone);
  EXPECT_EQ(status.what, "labels");
  EXPECT_EQ(status.done, 3);
  EXPECT_EQ(status.total, 3);
}

TEST(Jobs, FailWithTheirError) {
  Jobs jobs;
  const std::string id = jobs.Start(
      "texts", [](const ProgressSink&) { throw Error(ErrorCode::kNotFound, "model: gone"); });
  const JobStatus status = WaitForEnd(jobs, id);
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.error_code, "not-found");
  EXPECT_EQ(status.error_message, "model: gone");
}

TEST(Jobs, EndWhereTheyAreCancelled) {
  Jobs jobs;
  std::atomic<Index> steps = 0;
  const std::string id = jobs.Start("labels", [&](const ProgressSink& progress) {
    while (true) {
      progress(++steps, 0);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  while (steps == 0) std::this_thread::yield();
  jobs.Cancel(id);
  EXPECT_EQ(WaitForEnd(jobs, id).state, JobState::kCancelled);
}

TEST(Jobs, AreCancelledWithTheObject) {
  std::atomic<bool> ended = false;
  {
    Jobs jobs;
    jobs.Start("labels", [&](const ProgressSink& progress) {
      try {
        while (true) progress(0, 0);
      } catch (...) {
        ended = true;
        throw;
      }
    });
  }
  EXPECT_TRUE(ended);
}

TEST(Jobs, KnowOnlyTheirOwn) {
  Jobs jobs;
  for (const char* id : {"j1", "", "j", "x1", "j1x", "j99999999999999999999999"}) {
    ExpectError(ErrorCode::kNotFound, "there is no job", [&] { jobs.Status(id); });
  }
  // Those that ended are forgotten, the last hundred not.
  std::string first, last;
  for (int i = 0; i < 150; ++i) {
    last = jobs.Start("labels", [](const ProgressSink&) {});
    if (first.empty()) first = last;
    WaitForEnd(jobs, last);
  }
  ExpectError(ErrorCode::kNotFound, "there is no job", [&] { jobs.Status(first); });
  EXPECT_EQ(jobs.Status(last).id, last);
}

}  // namespace
}  // namespace cliplens::server
