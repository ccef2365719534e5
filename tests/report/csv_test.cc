#include "cliplens/report/csv.h"

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(CsvRow, QuotesWhatNeedsIt) {
  EXPECT_EQ(CsvRow({"L5.H3", "0.25", ""}), "L5.H3,0.25,\n");
  EXPECT_EQ(CsvRow({"a, b", "say \"no\"", "two\nlines", "r\r"}),
            "\"a, b\",\"say \"\"no\"\"\",\"two\nlines\",\"r\r\"\n");
  EXPECT_EQ(CsvRow({"鴨"}), "鴨\n");
}

TEST(CsvRow, NoCellIsAFormula) {
  EXPECT_EQ(CsvRow({"=1+1", "@sum", "+a", "-b", "\tx"}), "'=1+1,'@sum,'+a,'-b,'\tx\n");
  EXPECT_EQ(CsvRow({"\n=1", "=HYPERLINK(\"http://x\")"}),
            "\"'\n=1\",\"'=HYPERLINK(\"\"http://x\"\")\"\n");
  EXPECT_EQ(CsvRow({"-0.5", "-1e-7", "-1+1"}), "-0.5,-1e-7,'-1+1\n");
  EXPECT_EQ(CsvRow({"=HYPERLINK(\"x\",\"y\")"}), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"\n");
  EXPECT_EQ(CsvRow({"-5+3", "-"}), "'-5+3,'-\n");
  // Numbers stay numbers.
  EXPECT_EQ(CsvRow({"-0.25", "-1e-07", "3"}), "-0.25,-1e-07,3\n");
}

}  // namespace
}  // namespace cliplens
