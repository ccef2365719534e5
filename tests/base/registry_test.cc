#include "cliplens/base/registry.h"

#include <atomic>

#include <gtest/gtest.h>

#include "cliplens/base/parallel.h"

namespace cliplens {
namespace {

TEST(Registry, ATakenNameKeepsItsValue) {
  Registry<int> numbers;
  EXPECT_TRUE(numbers.Add("a", 1));
  EXPECT_FALSE(numbers.Add("a", 2));
  EXPECT_EQ(numbers.Find("a"), 1);
  EXPECT_EQ(numbers.Find("b"), std::nullopt);
  numbers.Remove("a");
  numbers.Remove("b");
  EXPECT_EQ(numbers.Find("a"), std::nullopt);
  EXPECT_TRUE(numbers.Add("a", 2));
}

TEST(Registry, OneOfManyThreadsGetsAName) {
  Registry<Index> numbers;
  std::atomic<int> added{0};
  ParallelFor(/*threads=*/4, 100, [&](Index i, int) { added += numbers.Add("name", i) ? 1 : 0; });
  EXPECT_EQ(added, 1);
}

}  // namespace
}  // namespace cliplens
