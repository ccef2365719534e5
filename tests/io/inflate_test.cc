#include "cliplens/io/inflate.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/gzip_builder.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

std::string Unpacked(const std::string& packed, Index max_bytes) {
  const std::vector<std::uint8_t> bytes = Inflate(
      {reinterpret_cast<const std::uint8_t*>(packed.data()), packed.size()}, "x.gz", max_bytes);
  return {bytes.begin(), bytes.end()};
}

std::string Content(std::size_t size) {
  std::string content(size, '\0');
  unsigned state = 1;
  for (char& c : content) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  return content;
}

TEST(InflateTest, UnpacksUpToTheBound) {
  for (const std::size_t size : {0U, 1U, 1U << 18, (1U << 18) + 1, 1'000'000U}) {
    const std::string content = Content(size);
    EXPECT_EQ(Unpacked(Gzip(content), static_cast<Index>(size)), content) << size;
    if (size == 0) continue;
    ExpectError(ErrorCode::kExhausted, "x.gz: unpacks to more than",
                [&] { Unpacked(Gzip(content), static_cast<Index>(size) - 1); });
  }
}

TEST(InflateTest, UnpacksMembersOneAfterTheOther) {
  EXPECT_EQ(Unpacked(Gzip("one ") + Gzip("two"), 7), "one two");
  ExpectError(ErrorCode::kExhausted, "more than 6 bytes",
              [] { Unpacked(Gzip("one ") + Gzip("two"), 6); });
  EXPECT_EQ(Unpacked(Gzip("one") + std::string(512, '\0'), 3), "one");  // as tapes are filled up
}

TEST(InflateTest, StopsABombAtTheBound) {
  ExpectError(ErrorCode::kExhausted, "more than 1000000 bytes",
              [] { Unpacked(Gzip(std::string(64'000'000, '\0'), Z_BEST_COMPRESSION), 1'000'000); });
}

TEST(InflateTest, RefusesWhatIsCutOffOrDamaged) {
  const std::string packed = Gzip(Content(100'000));
  for (const std::size_t kept :
       {std::size_t{0}, std::size_t{5}, packed.size() / 2, packed.size() - 8, packed.size() - 1}) {
    ExpectError(ErrorCode::kCorruptData, "cut off, fetch it again",
                [&] { Unpacked(packed.substr(0, kept), 100'000); });
  }
  std::string damaged = packed;
  damaged[packed.size() / 2] ^= 1;
  ExpectError(ErrorCode::kCorruptData, "damaged", [&] { Unpacked(damaged, 100'000); });
  damaged = packed;
  damaged[packed.size() - 6] ^= 1;  // the checksum
  ExpectError(ErrorCode::kCorruptData, "incorrect data check", [&] { Unpacked(damaged, 100'000); });
  ExpectError(ErrorCode::kCorruptData, "incorrect header check",
              [] { Unpacked("no gzip file", 100); });
}

}  // namespace
}  // namespace cliplens
