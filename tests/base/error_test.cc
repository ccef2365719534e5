#include "cliplens/base/error.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(Error, EveryCodeHasARowOfItsOwn) {
  std::set<int> exit_status;
  std::set<std::string> names;
  for (ErrorCode code : {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kCorruptData,
                         ErrorCode::kPrecondition, ErrorCode::kExhausted, ErrorCode::kUnsupported,
                         ErrorCode::kInternal}) {
    const ErrorCodeInfo& info = InfoOf(code);
    EXPECT_EQ(info.code, code);
    EXPECT_GT(info.exit_status, 1);
    EXPECT_GE(info.http_status, 400);
    exit_status.insert(info.exit_status);
    names.insert(info.name);
  }
  EXPECT_EQ(exit_status.size(), 7u);
  EXPECT_EQ(names.size(), 7u);
}

TEST(Error, FormatsItsMessage) {
  const Error error(ErrorCode::kNotFound, "{}: {} of {}", "file", 3, 4);
  EXPECT_STREQ(error.what(), "file: 3 of 4");
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace cliplens
