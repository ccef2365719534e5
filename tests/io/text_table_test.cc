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
           {"line 2: has a zero byte", std::string("a,b\n1,\0\n", 8)},
           {"line 2: byte 3 is not UTF-8 (0xff, as Latin-1", "a,b\n1,\xff\n"},
           {"line 3: byte 5 is not UTF-8 (0xe9, as Latin-1", "a,b\r1,2\rcaf,\xe9\r"},
           {"line 1: begins with the mark of UTF-16", std::string("\xff\xfe"
                                                                  "a\0,\0b\0",
                                                                  8)},
           {"line 1: has a zero byte, as UTF-16 has", std::string("a\0,\0b\0", 6)},
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

TEST_F(TextTableTest, TakesCarriageReturnsAlone) {
  EXPECT_EQ(Rows(Read("a,b\r1,\"2\r3\"\r\r4,5")), (Cells{{"1", "2\r3"}, {"4", "5"}}));
  ExpectError(ErrorCode::kCorruptData, "line 5: has 1 cells",
              [&] { Read("a,b\r\"1\r\n\r\",2\r3\r"); });
}

TEST_F(TextTableTest, TheHeaderTellsTheSeparator) {
  EXPECT_EQ(Rows(Read("a;\"b, c, d\"\n1,5;2\n")), (Cells{{"1,5", "2"}}));
  EXPECT_EQ(Rows(Read("a\tb\n1;2\t3\n")), (Cells{{"1;2", "3"}}));
  EXPECT_EQ(Rows(Read("a,b\n1,2\n", "a.tsv")), (Cells{{"1", "2"}}));
  EXPECT_EQ(Rows(Read("a\n1;2\n")), (Cells{{"1;2"}}));
}

TEST_F(TextTableTest, LeavesOutBlanksAroundCellsAndRowsWithoutAny) {
  const TextTable table = Read("path , label\na.png,  \"a cat \" \n , \n,\nb.png ,a dog\n");
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"path", "label"}));
  EXPECT_EQ(Rows(table), (Cells{{"a.png", "a cat "}, {"b.png", "a dog"}}));
  EXPECT_EQ(table.blank_rows(), 2);
}

TEST_F(TextTableTest, ReadsJsonLines) {
  const TextTable table = Read(
      "{\"file_name\":\"a.png\",\"n\":7,\"text\":\"x, y\"}\r\n\n"
      "{\"n\":NaN,\"box\":[1,2],\"file_name\":\"b.png\",\"none\":null}",
      "m.jsonl");
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"file_name", "n", "text", "box", "none"}));
  EXPECT_EQ(Rows(table), (Cells{{"a.png", "7", "x, y", "", ""}, {"b.png", "", "", "[1,2]", ""}}));
  ExpectError(ErrorCode::kCorruptData, "m.jsonl: row 2: line 1, column",
              [&] { Read("{\"a\":1}\n{\"a\":\n", "m.jsonl"); });
  ExpectError(ErrorCode::kCorruptData, "m.jsonl: row 1: a JSON object is wanted",
              [&] { Read("[1]\n", "m.jsonl"); });
  ExpectError(ErrorCode::kInvalidArgument, "has no objects", [&] { Read("\n", "m.jsonl"); });
}

TEST_F(TextTableTest, BoundsCellsAndTheirNumber) {
  ExpectError(ErrorCode::kExhausted, "line 2: a cell has 1048577 bytes or more",
              [&] { Read("a,b\n1," + std::string((1 << 20) + 1, 'x') + "\n"); });
  ExpectError(ErrorCode::kExhausted, "line 3: a cell has",
              [&] { Read("a,b\n1,2\n1,\"" + std::string((1 << 20) + 1, 'x') + "\"\n"); });
  EXPECT_EQ(Read("a,b\n1," + std::string(1 << 20, 'x') + "\n").rows(), 1);
  std::string many;
  for (int i = 0; i < 40'000; ++i) many += "{\"a" + std::to_string(i % 4000) + "\":1}\n";
  ExpectError(ErrorCode::kExhausted, "more than 67108864 cells", [&] { Read(many, "m.jsonl"); });
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
