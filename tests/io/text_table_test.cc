#include "cliplens/io/text_table.h"

#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class TextTableTest : public testing::Test {
 protected:
  TextTable Read(const std::string& content, const char* name = "a.csv") {
    return ReadTextTable(directory_.Write(name, content));
  }

  static std::vector<std::vector<std::string>> Rows(const TextTable& table) {
    std::vector<std::vector<std::string>> rows(ToSize(table.rows()));
    for (Index r = 0; r < table.rows(); ++r) {
      for (std::size_t c = 0; c < table.columns().size(); ++c) {
        At(rows, r).emplace_back(table.cell(r, static_cast<Index>(c)));
      }
    }
    return rows;
  }
  using Cells = std::vector<std::vector<std::string>>;

  TemporaryDirectory directory_;
};

TEST_F(TextTableTest, ReadsRowsOfCells) {
  const TextTable table = Read("path,Label,n\na.png,duck,1\nb.png,,2\n");
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"path", "Label", "n"}));
  EXPECT_EQ(Rows(table), (Cells{{"a.png", "duck", "1"}, {"b.png", "", "2"}}));
  EXPECT_EQ(table.Find("label"), 1);
  EXPECT_EQ(table.Find("PATH"), 0);
  EXPECT_EQ(table.Find("mask"), -1);
}

TEST_F(TextTableTest, ReadsQuotedCells) {
  EXPECT_EQ(Rows(Read("a,b\n\"x, \"\"y\"\"\",\"two\r\nlines\"\n\"\",5\" disk\n")),
            (Cells{{"x, \"y\"", "two\r\nlines"}, {"", "5\" disk"}}));
}

TEST_F(TextTableTest, TakesBomsCrlfBlankLinesAndNoLastLineEnd) {
  EXPECT_EQ(Rows(Read("\xef\xbb\xbf"
                      "a,b\r\n\r\n1,2\r\n\n3,4")),
            (Cells{{"1", "2"}, {"3", "4"}}));
  EXPECT_EQ(Rows(Read("a,b\n1,")), (Cells{{"1", ""}}));
  EXPECT_EQ(Read("a,b\n").rows(), 0);
}

TEST_F(TextTableTest, TsvHasTabs) {
  EXPECT_EQ(Rows(Read("a\tb\n1,2\t3\n", "a.tsv")), (Cells{{"1,2", "3"}}));
  EXPECT_EQ(Rows(Read("a\tb\n1,2\t3\n", "a.TSV")), (Cells{{"1,2", "3"}}));
}

TEST_F(TextTableTest, LeavesOutColumnsWithoutName) {
  const TextTable table = Read(",path\n0,a.png\n1,b.png\n");
  EXPECT_EQ(table.columns(), std::vector<std::string>{"path"});
  EXPECT_EQ(Rows(table), (Cells{{"a.png"}, {"b.png"}}));
}

TEST_F(TextTableTest, RefusesWhatIsNoTable) {
  struct Case {
    const char* words;
    std::string content;
  };
  for (const Case& c : std::vector<Case>{
           {"line 3: has 1 cells, the header has 2", "a,b\n1,2\n3\n"},
           {"line 2: has 3 cells, the header has 2", "a,b\n1,2,3\n"},
           {"line 5: has 1 cells", "a,b\n\"1\n\n\",2\n3\n"},
           {"line 2: the quotation mark that opens a cell is never closed", "a,b\n1,\"2\n3,4\n"},
           {"line 2: \"x,2\" stands behind a closing quotation mark", "a,b\n\"1\"x,2\n"},
           {"line 1: a carriage return without a line feed", "a,b\r1,2\r"},
           {"line 2: has a zero byte", std::string("a,b\n1,\0\n", 8)},
           {"line 2: \"\\xff\" is not UTF-8", "a,b\n1,\xff\n"},
           {"line 1: two columns are named 'A'", "a,A\n1,2\n"}}) {
    ExpectError(ErrorCode::kCorruptData, std::string("a.csv: ") + c.words,
                [&] { Read(c.content); });
  }
  ExpectError(ErrorCode::kInvalidArgument, "is empty; its first line must name the columns",
              [&] { Read("\n\r\n"); });
  ExpectError(ErrorCode::kInvalidArgument, "line 1: no column has a name", [&] { Read(",,\n"); });
  ExpectError(ErrorCode::kExhausted, "line 1: has more than 4096 cells",
              [&] { Read(std::string(5000, ',') + "\n"); });
}

TEST_F(TextTableTest, EveryCutIsATableOrAnError) {
  const std::string valid = "a,\"b\"\r\n\"x \"\"y\"\"\",\xc3\xa4\n1,2\n";
  for (std::size_t size = 0; size <= valid.size(); ++size) {
    try {
      Rows(Read(valid.substr(0, size)));
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace cliplens
