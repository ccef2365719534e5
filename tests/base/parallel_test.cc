#include "cliplens/base/parallel.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(ParallelFor, RunsEachTaskOnce) {
  for (int threads : {1, 2, 7}) {
    std::vector<std::atomic<int>> runs(100);
    ParallelFor(threads, 100, [&](Index i, int worker) {
      EXPECT_LT(worker, threads);
      runs[static_cast<std::size_t>(i)].fetch_add(1);
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

TEST(ParallelFor, NothingToDo) {
  ParallelFor(4, 0, [](Index, int) { FAIL(); });
}

}  // namespace
}  // namespace cliplens
