#include "cliplens/io/rehearsal.h"

#include <csignal>
#include <stdexcept>

#include "tests/expect_error.h"
#include <gtest/gtest.h>
#include <unistd.h>

namespace cliplens {
namespace {

TEST(Rehearsal, WhatEndsByItselfIsFine) {
  int seen = 0;
  Rehearse(
      "a.mat", [&] { seen = 1; }, 10);
  EXPECT_EQ(seen, 0);  // it ran elsewhere
  Rehearse(
      "a.mat", [] { throw std::runtime_error("met again by the caller"); }, 10);
}

TEST(Rehearsal, ACrashAndAHangAreErrors) {
  ExpectError(ErrorCode::kCorruptData, "a.mat: the library that reads it crashes on it", [] {
    Rehearse(
        "a.mat", [] { std::raise(SIGSEGV); }, 10);
  });
  ExpectError(ErrorCode::kCorruptData, "a.mat: the library that reads it comes to no end", [] {
    Rehearse(
        "a.mat", [] { ::pause(); }, 1);
  });
}

}  // namespace
}  // namespace cliplens
