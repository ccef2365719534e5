#include "cliplens/io/decode_memory.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(DecodeMemoryTest, AllThreadsTogetherStayWithinTheBudget) {
  std::atomic<Index> used = 0;
  std::atomic<Index> most = 0;
  const auto work = [&](Index bytes) {
    for (int i = 0; i < 200; ++i) {
      DecodeMemory memory(bytes, "x");
      const Index now = used += bytes;
      for (Index before = most; now > before && !most.compare_exchange_weak(before, now);) {
      }
      std::this_thread::yield();
      used -= bytes;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) threads.emplace_back(work, kDecodeBudget / (t + 2));
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, kDecodeBudget);
  EXPECT_EQ(used, 0);
}

TEST(DecodeMemoryTest, OneThatNeedsMoreIsAlone) {
  std::atomic<int> inside = 0;
  std::atomic<bool> together = false;
  const auto work = [&] {
    for (int i = 0; i < 50; ++i) {
      const DecodeMemory memory(kDecodeBudget + 1, "x");
      if (++inside > 1) together = true;
      std::this_thread::yield();
      --inside;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(together);
}

TEST(DecodeMemoryTest, AThreadThatHoldsAShareDoesNotWait) {
  const DecodeMemory picture(kDecodeBudget, "picture");
  const DecodeMemory mask(kDecodeBudget, "mask");  // would wait for ever otherwise
}

TEST(DecodeMemoryTest, WhatIsGivenBackIsFree) {
  DecodeMemory memory(kDecodeBudget, "x");
  memory.ShrinkTo(1);
  std::thread([] { const DecodeMemory other(kDecodeBudget - 1, "y"); }).join();
}

TEST(DecodeMemoryTest, TooMuchIsRefused) {
  ExpectError(ErrorCode::kExhausted, "cat.tif: decoding it takes about 5000 MB of memory",
              [] { DecodeMemory(Index{5000} << 20, "cat.tif"); });
}

}  // namespace
}  // namespace cliplens
