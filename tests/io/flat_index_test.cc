#include "cliplens/io/flat_index.h"

#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"

namespace cliplens {
namespace {

FlatIndex Three() {
  FlatIndex index(2);
  index.Add(Array<float, 2>({2, 2}, {1, 0, 0, 2}));
  index.Add(Array<float, 2>({1, 2}, {-1, 1}));
  return index;
}

TEST(FlatIndex, FindsTheLargestProducts) {
  const FlatIndex index = Three();
  const std::vector<float> query = {1, 1};
  const auto found = index.Search(query, 2);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].row, 1);
  EXPECT_EQ(found[0].score, 2);
  EXPECT_EQ(found[1].row, 0);
  EXPECT_EQ(index.Search(query, 9).size(), 3u);
  EXPECT_TRUE(index.Search(query, 0).empty());
  ExpectError(ErrorCode::kInvalidArgument, "3 numbers in an index of 2", [&] {
    index.Search(std::vector<float>{1, 2, 3}, 1);
  });
  ExpectError(ErrorCode::kInvalidArgument, "no vector 3", [&] { index.row(3); });
}

TEST(FlatIndex, AFileIsReadAsItWasWrittenOrRefused) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "i.faiss";
  OutputFiles files({path});
  const std::string checksum = Three().Write(path, files);
  files.Commit();
  const FlatIndex again = FlatIndex::Read(path, 3, 2, checksum);
  EXPECT_EQ(again.rows(), 3);
  EXPECT_EQ(again.row(2)[0], -1);
  EXPECT_EQ(again.row(2)[1], 1);
  ExpectError(ErrorCode::kCorruptData, "an index of 4 vectors of 2 numbers",
              [&] { FlatIndex::Read(path, 4, 2, checksum); });
  ExpectError(ErrorCode::kCorruptData, "no FAISS IndexFlatIP of 2 vectors of 3 numbers",
              [&] { FlatIndex::Read(path, 2, 3, checksum); });
  ExpectError(ErrorCode::kCorruptData, "checksum is not 00",
              [&] { FlatIndex::Read(path, 3, 2, "00"); });
  ExpectError(ErrorCode::kNotFound, "no.faiss",
              [&] { FlatIndex::Read(directory.path() / "no.faiss", 3, 2, checksum); });
}

}  // namespace
}  // namespace cliplens
