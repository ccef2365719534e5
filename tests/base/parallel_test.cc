#include "cliplens/base/parallel.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(ParallelFor, RunsEachTaskOnce) {
  for (int threads : {1, 2, 7}) {
    std::vector<std::atomic<int>> runs(100);
    ParallelFor(threads, 100, [&](Index i, int worker) {
      EXPECT_LT(worker, threads);
      At(runs, i).fetch_add(1);
    });
    for (const auto& n : runs) EXPECT_EQ(n.load(), 1);
  }
}

TEST(ParallelFor, ThrowsTheFirstErrorAndStops) {
  std::atomic<int> ran{0};
  EXPECT_THROW(ParallelFor(3, 100'000,
                           [&](Index i, int) {
                             if (i == 5) throw std::runtime_error("five");
                             ran.fetch_add(1);
                           }),
               std::runtime_error);
  EXPECT_LT(ran.load(), 100'000);
}

// Task 5 fails long after task 6 did.
void FailAtFiveAndSix(Index i) {
  if (i == 6) throw std::runtime_error("six");
  if (i != 5) return;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  throw std::runtime_error("five");
}

TEST(ParallelFor, TheErrorIsThatOfTheLeastTask) {
  Team team(3);
  for (const bool stays : {false, true}) {
    try {
      if (stays) {
        team.Run(20, FailAtFiveAndSix);
      } else {
        ParallelFor(3, 20, [](Index i, int) { FailAtFiveAndSix(i); });
      }
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "five") << stays;
    }
  }
  team.Run(3, [](Index) {});  // nothing is left of it
}

TEST(ParallelFor, NothingToDo) {
  ParallelFor(4, 0, [](Index, int) { FAIL(); });
}

}  // namespace
}  // namespace cliplens
