#include "cliplens/io/printable.h"

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(PrintableTest, KeepsOneLine) {
  EXPECT_EQ(Printable("visual.proj"), "visual.proj");
  EXPECT_EQ(Printable("a\nb\x1b[31m\x7f"), "a\\x0ab\\x1b[31m\\x7f");
  EXPECT_EQ(Printable("caf\xc3\xa9 \xf0\x9f\xa6\x86"), "caf\xc3\xa9 \xf0\x9f\xa6\x86");
  EXPECT_EQ(Printable("\xc3("), "\\xc3(");
  EXPECT_EQ(Printable("\xc2\x85"), "\\xc2\\x85");
}

// A mark that turns the text round would show "evil gnp.exe" as another name.
TEST(PrintableTest, HiddenMarksAreWrittenOut) {
  EXPECT_EQ(Printable("a\u202ebc"), "a\\u202ebc");
  EXPECT_EQ(Printable("\u2066x\u2069 \u200b\u00ad\ufeff\u2028"),
            "\\u2066x\\u2069 \\u200b\\u00ad\\ufeff\\u2028");
  // Joiners make emoji, and words of Persian.
  EXPECT_EQ(Printable("\U0001f469\u200d\U0001f680"), "\U0001f469\u200d\U0001f680");
}

TEST(PrintableTest, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(Printable(std::string(1000, 'a'), 10), "aaaaaaa...");
  EXPECT_EQ(Printable("aaaaaaaaaa", 10), "aaaaaaa...");
  EXPECT_EQ(Printable("aaaaaaa", 10), "aaaaaaa");
  EXPECT_EQ(Printable("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 8), "\xc3\xa9\xc3\xa9...");
}

TEST(Utf8Test, FindsTheFirstBadByte) {
  EXPECT_EQ(FindInvalidUtf8("plain"), std::string_view::npos);
  EXPECT_EQ(FindInvalidUtf8("\xef\xbb\xbf\xc3\xa9\xf4\x8f\xbf\xbf"), std::string_view::npos);
  EXPECT_EQ(FindInvalidUtf8("ab\xff"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xc0\x80"), 0u);          // overlong
  EXPECT_EQ(FindInvalidUtf8("\xe0\x9f\xbf"), 0u);      // overlong
  EXPECT_EQ(FindInvalidUtf8("\xed\xa0\x80"), 0u);      // surrogate
  EXPECT_EQ(FindInvalidUtf8("\xf4\x90\x80\x80"), 0u);  // above U+10FFFF
  EXPECT_EQ(FindInvalidUtf8("a\xe2\x82"), 1u);         // cut off
}

}  // namespace
}  // namespace cliplens
