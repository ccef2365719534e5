#include "cliplens/io/file_name.h"

#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

TEST(FileNameTest, Utf8StaysAndOtherBytesAreEscaped) {
  EXPECT_EQ(NameText("Łódź/ä b.png"), "Łódź/ä b.png");
  EXPECT_EQ(NameText("\xe0\xe8/\xff.png"), "\\xe0\\xe8/\\xff.png");
  EXPECT_EQ(NameText("a\\b\\x\\x4g\\x41.png"), "a\\b\\x\\x4g\\x41.png");
  EXPECT_EQ(NameText("\\xe9.png"), "\\x5cxe9.png");
  EXPECT_EQ(RawName("caf\\xe9.png"), "caf\xe9.png");
  EXPECT_EQ(RawName("\\xE9\\x41\\x5"), "\\xE9\\x41\\x5");
}

TEST(FileNameTest, EveryNameComesBackAndNoTwoHaveOneText) {
  std::mt19937 random(7);
  const std::string letters = "\\x5ce9f8\xc3\xa9\xe9\x80";
  std::set<std::string> names;
  std::set<std::string> texts;
  for (int i = 0; i < 50'000; ++i) {
    std::string name;
    for (auto n = random() % 9; n > 0; --n) name += letters[random() % letters.size()];
    const std::string text = NameText(name);
    ASSERT_EQ(RawName(text), name) << text;
    ASSERT_EQ(FindInvalidUtf8(text), std::string::npos) << text;
    names.insert(name);
    texts.insert(text);
  }
  EXPECT_EQ(names.size(), texts.size());
}

}  // namespace
}  // namespace cliplens
