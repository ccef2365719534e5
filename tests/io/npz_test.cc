// Several arrays in one file, read back through the zip reader.
#include "cliplens/io/npz.h"

#include <cstring>

#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/zip.h"

namespace cliplens {
namespace {

TEST(Npz, HoldsArraysByName) {
  const TemporaryDirectory directory;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> counts = {7};
  const NpzArray arrays[] = {{"values", "<f4", {2, 3}, AsBytes(std::span(values))},
                             {"counts", "<i8", {1}, AsBytes(std::span(counts))}};
  const std::vector<std::uint8_t> bytes = NpzBytes(arrays);
  EXPECT_EQ(bytes, NpzBytes(arrays));
  WriteFileAtomically(directory.path() / "a.npz", bytes);
  const ZipArchive zip(directory.path() / "a.npz");
  ASSERT_EQ(zip.entries().size(), 2U);
  const ZipEntry* entry = zip.Find("values.npy");
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(entry->stored);
  WriteFileAtomically(directory.path() / "values.npy", zip.Read(*entry, 0, entry->size));
  const NpyArray read = ReadNpy(directory.path() / "values.npy");
  EXPECT_EQ(read.shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(read.values, values);
  const ZipEntry* whole = zip.Find("counts.npy");
  ASSERT_NE(whole, nullptr);
  std::int64_t count = 0;
  const std::vector<std::uint8_t> tail = zip.Read(*whole, whole->size - 8, 8);
  std::memcpy(&count, tail.data(), sizeof(count));
  EXPECT_EQ(count, 7);
}

}  // namespace
}  // namespace cliplens
