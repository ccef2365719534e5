#include "cliplens/io/tar.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include "tests/tar_builder.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

// Names and contents of an archive's members.
Members ReadAll(const std::string& archive) {
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(archive.data()),
                                            archive.size());
  TarReader reader(bytes, "x.tar");
  Members members;
  while (const std::optional<TarMember> member = reader.Next()) {
    EXPECT_LE(member->offset + member->size, static_cast<Index>(archive.size()));
    members.emplace_back(member->name,
                         archive.substr(ToSize(member->offset), ToSize(member->size)));
  }
  return members;
}

void ExpectTarRefused(ErrorCode code, const std::string& words, const std::string& archive) {
  ExpectError(code, words, [&] { ReadAll(archive); });
}

TEST(TarTest, ReadsRegularFilesInOrder) {
  const std::string archive = TarMemberBytes("b/", "", '5') +
                              TarMemberBytes("b/2.png", std::string(600, 'x')) +
                              TarMemberBytes("link", "", '2') + TarMemberBytes("./a.txt", "hello") +
                              TarMemberBytes("/top/empty", "") + TarEnd();
  EXPECT_EQ(ReadAll(archive),
            (Members{{"b/2.png", std::string(600, 'x')}, {"a.txt", "hello"}, {"top/empty", ""}}));
  EXPECT_EQ(ReadAll(std::string(512, '\0')), Members{});
  EXPECT_EQ(ReadAll(std::string(10240, '\0')), Members{});
}

TEST(TarTest, ReadsUstarPrefixes) {
  std::string header = TarHeader("name.png", 1);
  header.replace(345, 3, "a/b");
  EXPECT_EQ(ReadAll(WithChecksum(header) + Padded("x") + TarEnd()),
            (Members{{"a/b/name.png", "x"}}));
  // GNU keeps times in the same place.
  std::string gnu = TarHeader("name.png", 1, '0', std::string("ustar  \0", 8));
  gnu.replace(345, 11, "14000000000");
  EXPECT_EQ(ReadAll(WithChecksum(gnu) + Padded("x") + TarEnd()), (Members{{"name.png", "x"}}));
}

TEST(TarTest, ReadsLongNames) {
  const std::string long_name = std::string(300, 'd') + "/1.png";
  EXPECT_EQ(ReadAll(TarMemberBytes("././@LongLink", long_name + '\0', 'L') +
                    TarMemberBytes("short", "x") + TarMemberBytes("next", "y") + TarEnd()),
            (Members{{long_name, "x"}, {"next", "y"}}));
  const std::string pax = PaxRecord("mtime", "1.5") + PaxRecord("path", long_name);
  EXPECT_EQ(ReadAll(TarMemberBytes("PaxHeaders/x", pax, 'x') + TarMemberBytes("short", "x") +
                    TarMemberBytes("next", "y") + TarEnd()),
            (Members{{long_name, "x"}, {"next", "y"}}));
  EXPECT_EQ(ReadAll(TarMemberBytes("pax_global_header", PaxRecord("comment", "abc"), 'g') +
                    TarMemberBytes("next", "y") + TarEnd()),
            (Members{{"next", "y"}}));
}

TEST(TarTest, ReadsSizesInPaxAndBase256) {
  EXPECT_EQ(ReadAll(TarMemberBytes("p", PaxRecord("size", "3"), 'x') +
                    WithChecksum(TarHeader("a", 0)) + Padded("xyz") + TarEnd()),
            (Members{{"a", "xyz"}}));
  std::string header = TarHeader("a", 0);
  header.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\x03", 12));
  EXPECT_EQ(ReadAll(WithChecksum(header) + Padded("xyz") + TarEnd()), (Members{{"a", "xyz"}}));
}

TEST(TarTest, RefusesWhatIsCutOffOrJoined) {
  const std::string member = TarMemberBytes("a.png", std::string(600, 'x'));
  ExpectTarRefused(ErrorCode::kCorruptData, "wanted at byte 0, the file has 0", "");
  ExpectTarRefused(ErrorCode::kCorruptData, "wanted at byte 1536, the file has 1536", member);
  ExpectTarRefused(ErrorCode::kCorruptData, "member at byte 0 claims 600 bytes, 88 are left",
                   member.substr(0, 600));
  ExpectTarRefused(ErrorCode::kCorruptData, "more after the end marker at byte 1536",
                   member + TarEnd() + member + TarEnd());
}

TEST(TarTest, RefusesBadHeaders) {
  const std::string text(512, 'x');
  ExpectTarRefused(ErrorCode::kCorruptData, "header at byte 0 has a wrong checksum", text);
  std::string huge = TarHeader("a", 0);
  huge.replace(124, 12, "777777777777");
  ExpectTarRefused(ErrorCode::kCorruptData, "claims 68719476735 bytes, 1024 are left",
                   WithChecksum(huge) + TarEnd());
  huge.replace(124, 12, std::string(1, '\x80') + std::string(11, '\xff'));
  ExpectTarRefused(ErrorCode::kCorruptData, "has the size", WithChecksum(huge) + TarEnd());
  huge.replace(124, 12, std::string(12, '\xff'));
  ExpectTarRefused(ErrorCode::kCorruptData, "has the size", WithChecksum(huge) + TarEnd());
  huge.replace(124, 12, std::string("9\n\0\0\0\0\0\0\0\0\0\0", 12));
  ExpectTarRefused(ErrorCode::kCorruptData, "has the size \"9\\x0a\"",
                   WithChecksum(huge) + TarEnd());
}

TEST(TarTest, RefusesNamesThatPointOutside) {
  for (const std::string name : {"../x", "a/../../x", "a/..", "..", "/../x", "./../x"}) {
    ExpectTarRefused(ErrorCode::kCorruptData, "is named", TarMemberBytes(name, "x") + TarEnd());
  }
  ExpectTarRefused(ErrorCode::kCorruptData, "is named \"a\\x00b\"",
                   TarMemberBytes("p", PaxRecord("path", std::string("a\0b", 3)), 'x') +
                       TarMemberBytes("a", "x") + TarEnd());
  ExpectTarRefused(ErrorCode::kCorruptData, "is empty", TarMemberBytes("/", "x") + TarEnd());
  EXPECT_EQ(ReadAll(TarMemberBytes("a..b/...c", "x") + TarEnd()), (Members{{"a..b/...c", "x"}}));
}

TEST(TarTest, RefusesBadPaxHeaders) {
  const auto refuse = [](const std::string& words, const std::string& records) {
    ExpectTarRefused(ErrorCode::kCorruptData, words,
                     TarMemberBytes("p", records, 'x') + TarMemberBytes("a", "x") + TarEnd());
  };
  refuse("has a bad length", "path=x\n");
  refuse("has a bad length", "99999999999 path=x\n");
  refuse("does not fit in it", "99 path=x\n");
  refuse("does not fit in it", "0 path=x\n");
  refuse("without a line end", "9 path=xy\n");
  refuse("without \"=\"", "7 path\n");
  refuse("no number below 2^63", PaxRecord("size", "-1"));
  refuse("no number below 2^63", PaxRecord("size", "9999999999999999999999"));
  refuse("an empty size", PaxRecord("size", ""));
  refuse("claims 9223372036854775807 bytes", PaxRecord("size", "9223372036854775807"));
  ExpectTarRefused(ErrorCode::kCorruptData, "all members one name",
                   TarMemberBytes("p", PaxRecord("path", "x"), 'g') + TarEnd());
  ExpectTarRefused(ErrorCode::kCorruptData, "follows the long name",
                   TarMemberBytes("p", PaxRecord("path", "x"), 'x') + TarEnd());
  ExpectTarRefused(ErrorCode::kExhausted, "at most 1048576 are read",
                   TarMemberBytes("p", std::string((1 << 20) + 1, 'a'), 'L') + TarEnd());
}

TEST(TarTest, RefusesWhatIsNotSupported) {
  ExpectTarRefused(ErrorCode::kUnsupported, "with holes", TarMemberBytes("a", "", 'S') + TarEnd());
  ExpectTarRefused(ErrorCode::kUnsupported, "with holes",
                   TarMemberBytes("p", PaxRecord("GNU.sparse.major", "1"), 'x') + TarEnd());
  ExpectTarRefused(ErrorCode::kUnsupported, "over several archives",
                   TarMemberBytes("a", "", 'M') + TarEnd());
  ExpectTarRefused(ErrorCode::kUnsupported, "compressed with gzip", "\x1f\x8b\x08");
  ExpectTarRefused(ErrorCode::kUnsupported, "compressed with zstd", "\x28\xb5\x2f\xfd");
}

TEST(TarTest, EveryCutIsAnErrorAndEveryFlippedByteAnErrorOrMembers) {
  const std::string valid = TarMemberBytes("p", PaxRecord("path", "long/1.png"), 'x') +
                            TarMemberBytes("1.png", "abc") +
                            TarMemberBytes("././@LongLink", "long/2.png", 'L') +
                            TarMemberBytes("2.png", "de") + std::string(512, '\0');
  ASSERT_EQ(ReadAll(valid), (Members{{"long/1.png", "abc"}, {"long/2.png", "de"}}));
  for (std::size_t size = 0; size < valid.size(); ++size) {
    EXPECT_THROW(ReadAll(valid.substr(0, size)), Error) << size;
  }
  for (std::size_t i = 0; i < valid.size(); ++i) {
    for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string changed = valid;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      // With the checksums made right again the damage gets past them.
      for (const bool repaired : {false, true}) {
        if (repaired) {
          for (std::size_t at = 0; at < 4096; at += 1024) {
            changed.replace(at, 512, WithChecksum(changed.substr(at, 512)));
          }
        }
        try {
          ReadAll(changed);
        } catch (const Error& error) {
          EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        }
      }
    }
  }
}

}  // namespace
}  // namespace cliplens
