#include "cliplens/report/table.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(Table, AlignsColumns) {
  Table table({{"head"}, {"share", Align::kRight}, {"text"}});
  table.AddRow({"L5.H3", "12.4 %", "a duck"});
  table.AddRow({"L5.H10", "3.0 %", ""});
  EXPECT_EQ(table.Render(),
            "head     share  text\n"
            "──────  ──────  ──────\n"
            "L5.H3   12.4 %  a duck\n"
            "L5.H10   3.0 %\n");
}

TEST(Table, CountsColumnsOfTheTerminal) {
  EXPECT_EQ(DisplayWidth("duck"), 4);
  EXPECT_EQ(DisplayWidth("鴨"), 2);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
  EXPECT_EQ(DisplayWidth("🦆"), 2);
  Table table({{"text"}, {"n", Align::kRight}});
  table.AddRow({"鴨", "1"});
  table.AddRow({"cafe\u0301", "2"});
  EXPECT_EQ(table.Render(), "text  n\n────  ─\n鴨    1\ncafe\u0301  2\n");
}

TEST(Table, CutsTheWidestColumn) {
  Table table({{"head"}, {"text"}});
  table.AddRow({"L5.H3", "a picture of a duck on a lake"});
  EXPECT_EQ(table.Render(20), "head   text\n─────  ─────────────\nL5.H3  a picture of…\n");
}

TEST(Table, AWideCharacterIsNotCutInTwo) {
  Table table({{"text"}});
  table.AddRow({"鴨鴨鴨鴨鴨鴨"});
  EXPECT_EQ(table.Render(8), "text\n────────\n鴨鴨鴨…\n");
}

TEST(Table, TextsCannotMoveTheCursor) {
  Table table({{"text"}});
  table.AddRow({"a\x1b[2Jb\nc\xff"});
  EXPECT_EQ(table.Render(), "text\n─────────\na\ufffd[2Jb\ufffdc\ufffd\n");
  Table turned({{"text"}});
  turned.AddRow({"a\u202egnp.exe"});
  EXPECT_EQ(turned.Render(), "text\n─────────\na\ufffdgnp.exe\n");
}

TEST(Table, RefusesARowOfAnotherWidth) {
  Table table({{"a"}, {"b"}});
  ExpectError(ErrorCode::kInvalidArgument, "a row of 1 cells", [&] { table.AddRow({"1"}); });
}

TEST(FormatPercent, RoundsAndNeverSaysMinusZero) {
  EXPECT_EQ(FormatPercent(0.1236), "12.4 %");
  EXPECT_EQ(FormatPercent(-0.0212), "-2.1 %");
  EXPECT_EQ(FormatPercent(-0.0001), "0.0 %");
  EXPECT_EQ(FormatPercent(0.5, 0), "50 %");
}

}  // namespace
}  // namespace cliplens
