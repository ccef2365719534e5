#include "cliplens/io/digest.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

// The examples of FIPS 180: "abc", and a million times "a".
TEST(Digest, KnownValues) {
  const TemporaryDirectory directory;
  const auto abc = directory.Write("abc", "abc");
  EXPECT_EQ(FileDigest(abc, DigestKind::kSha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(FileDigest(abc, DigestKind::kSha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto many = directory.Write("many", std::string(1'000'000, 'a'));
  Index read = 0;
  EXPECT_EQ(FileDigest(many, DigestKind::kSha256, "", [&](Index bytes) { read += bytes; }),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(read, 1'000'000);
}

// git hash-object of a file that holds "hello\n".
TEST(Digest, TheNameThatGitGives) {
  const TemporaryDirectory directory;
  const auto file = directory.Write("hello", "hello\n");
  EXPECT_EQ(FileDigest(file, DigestKind::kSha1, std::string_view("blob 6\0", 7)),
            "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(Digest, OfNoFile) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "none",
              [&] { FileDigest(directory.path() / "none", DigestKind::kSha1); });
  ExpectError(ErrorCode::kInvalidArgument, "is a directory",
              [&] { FileDigest(directory.path(), DigestKind::kSha1); });
}

}  // namespace
}  // namespace cliplens
