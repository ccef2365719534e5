#include "cliplens/io/parquet.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"
#include "cliplens/io/json.h"

namespace cliplens {
namespace {

const std::filesystem::path kFiles = CLIPLENS_SOURCE_DIR "/tests/data/parquet";

std::string FileOf(const std::string& name) {
  return ReadTextFile(kFiles / (name + ".parquet"), 1 << 16);
}

class ParquetTest : public testing::Test {
 protected:
  TextTable Read(const std::string& content) {
    return ReadTextTable(directory_.Write("t.parquet", content));
  }
  TemporaryDirectory directory_;
};

TEST_F(ParquetTest, CellsAreTheTextsOfTheValues) {
  const Json expected = ReadJsonFile(kFiles / "expected.json");
  for (const auto& [name, wanted] : expected.items()) {
    SCOPED_TRACE(name);
    const TextTable table = ReadTextTable(kFiles / (name + ".parquet"));
    EXPECT_EQ(Json(table.columns()), wanted["columns"]);
    const Json& rows = wanted["rows"];
    ASSERT_EQ(table.rows(), wanted["times"].get<Index>() * std::ssize(rows));
    for (Index r = 0; r < table.rows(); ++r) {
      const Json& row = rows[ToSize(r) % rows.size()];
      for (Index c = 0; c < std::ssize(table.columns()); ++c) {
        EXPECT_EQ(table.cell(r, c), row[ToSize(c)].get<std::string>())
            << "row " << r << ", " << At(table.columns(), c);
      }
    }
    EXPECT_EQ(table.notes().size(), wanted["left_out"].empty() ? 0u : 1u);
    for (const Json& column : wanted["left_out"]) {
      EXPECT_NE(table.notes()[0].find("'" + column.get<std::string>() + "' ("), std::string::npos)
          << table.notes()[0];
    }
  }
}

TEST_F(ParquetTest, ANoteSaysWhatIsLeftOutAndWhy) {
  const TextTable table = Read(FileOf("left-out"));
  ASSERT_EQ(table.notes().size(), 1u);
  EXPECT_NE(
      table.notes()[0].find(
          "t.parquet: left out: 'image' (a struct), 'raw' (bytes), 'price' (decimal numbers), "
          "'time' (times of day), 'deep' (lists of structs or lists), 'map' (a map), "
          "'__index_level_0__' (the index of a data frame)"),
      std::string::npos)
      << table.notes()[0];
  EXPECT_EQ(table.rows(), 2);
  EXPECT_EQ(table.blank_rows(), 2);
}

TEST_F(ParquetTest, NamesCodecsThatAreNotRead) {
  ExpectError(ErrorCode::kUnsupported, "t.parquet: column 'text': is packed by Brotli",
              [&] { Read(FileOf("brotli")); });
  ExpectError(ErrorCode::kUnsupported, "convert the file by: python3 -c \"import pandas; ",
              [&] { Read(FileOf("lz4")); });
  std::string encrypted = FileOf("plain");
  encrypted.back() = 'E';
  ExpectError(ErrorCode::kUnsupported, "t.parquet: is encrypted", [&] { Read(encrypted); });
}

TEST_F(ParquetTest, RefusesWhatIsNoParquetFile) {
  ExpectError(ErrorCode::kCorruptData, "t.parquet: has 4 bytes, a Parquet file has 12 at least",
              [&] { Read("PAR1"); });
  ExpectError(ErrorCode::kCorruptData, "it does not end in PAR1",
              [&] { Read("path,label\na.png,duck\n"); });
  std::string file = FileOf("plain");
  file[file.size() - 5] = '\x7f';
  ExpectError(ErrorCode::kCorruptData, "claims a footer of 2130", [&] { Read(file); });
}

TEST_F(ParquetTest, FindsDamagedPagesByTheirChecksum) {
  std::string file = FileOf("pages");
  const std::size_t page = file.find("\x28\xb5\x2f\xfd");  // the first that Zstd has packed
  ASSERT_NE(page, std::string::npos);
  file[page + 8] ^= 1;
  ExpectError(ErrorCode::kCorruptData, "has another checksum", [&] { Read(file); });
}

// Each file cut off at each place, and with each byte changed, is a table or an error of one line.
TEST_F(ParquetTest, EveryDamageIsATableOrAnError) {
  const auto try_it = [&](const std::string& content) {
    try {
      const TextTable table = Read(content);
      std::size_t bytes = 0;
      for (Index r = 0; r < table.rows(); ++r) {
        for (Index c = 0; c < std::ssize(table.columns()); ++c) bytes += table.cell(r, c).size();
      }
      EXPECT_LE(bytes, ToSize(kMaxTableBytes));
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      EXPECT_NE(error.code(), ErrorCode::kInternal) << what;
    }
  };
  for (const char* name : {"types", "pages", "encodings-1", "encodings-2", "plain", "polars"}) {
    const std::string file = FileOf(name);
    for (std::size_t size = 0; size < file.size(); size += 7) try_it(file.substr(0, size));
    for (std::size_t at = 4; at + 4 < file.size(); ++at) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ "\x01\x80\xff"[at % 3]);
      try_it(damaged);
    }
  }
}

}  // namespace
}  // namespace cliplens
