// Expectations on the library's errors.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "cliplens/base/error.h"

namespace cliplens {

// Runs `body`; the error it must throw has this code, these words in its message, and one line.
template <typename Body>
void ExpectError(ErrorCode code, const std::string& words, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_STREQ(InfoOf(error.code()).name, InfoOf(code).name) << what;
    EXPECT_NE(what.find(words), std::string::npos) << "message: " << what << "\nwanted: " << words;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    return;
  }
  ADD_FAILURE() << "no error; wanted one with: " << words;
}

}  // namespace cliplens
