#include "cliplens/io/npy.h"

#include <cstring>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

// A file of version `version`.0 with this header text.
std::string FileOf(int version, const std::string& header, const std::string& data) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    bytes += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  }
  return bytes + header + data;
}

std::string Floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

void ExpectNpyRefused(ErrorCode code, const std::string& words, const std::string& bytes) {
  const TemporaryDirectory directory;
  ExpectError(code, words, [&] { ReadNpy(directory.Write("x.npy", bytes)); });
}

TEST(NpyTest, RoundTrip) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.npy";
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  for (const std::vector<Index>& shape :
       std::vector<std::vector<Index>>{{6}, {2, 3}, {1, 3, 2}, {6, 1, 1, 1, 1}}) {
    WriteNpy(path, values, shape);
    const NpyArray array = ReadNpy(path);
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.values, values);
    EXPECT_EQ((std::filesystem::file_size(path) - 24) % 64, 0u);
  }
  const std::vector<float> one = {7};
  WriteNpy(path, one, {});
  EXPECT_TRUE(ReadNpy(path).shape.empty());
  EXPECT_EQ(ReadNpy(path).values, one);
  const std::vector<Index> none = {0, 4};
  WriteNpy(path, {}, none);
  EXPECT_EQ(ReadNpy(path).shape, none);
}

TEST(NpyTest, WritesWhatNumPyWrites) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.npy";
  const std::vector<Index> shape = {2};
  WriteNpy(path, std::vector<float>{1.0F, 2.0F}, shape);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  header.append(118 - header.size() - 1, ' ');
  EXPECT_EQ(ReadTextFile(path, 1000), FileOf(1, header + "\n", Floats({1.0F, 2.0F})));
}

TEST(NpyWriterTest, AppendsPieces) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.npy";
  NpyWriter writer(path, {3, 2});
  writer.Append(std::vector<float>{1, 2});
  writer.Append(std::vector<float>{3, 4, 5, 6});
  writer.Finish();
  EXPECT_EQ(ReadNpy(path).values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(NpyWriterTest, RefusesTooFewAndTooMany) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.npy";
  {
    NpyWriter writer(path, {3, 2});
    writer.Append(std::vector<float>{1, 2, 3, 4});
    ExpectError(ErrorCode::kInvalidArgument, "3 values were appended to 4, the shape has 6", [&] {
      writer.Append(std::vector<float>{5, 6, 7});
    });
    ExpectError(ErrorCode::kInvalidArgument, "4 values were appended, the shape has 6",
                [&] { writer.Finish(); });
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  ExpectError(ErrorCode::kInvalidArgument, "the shape [-1] cannot be written",
              [&] { NpyWriter writer(path, {-1}); });
  ExpectError(ErrorCode::kInvalidArgument, "cannot be written", [&] {
    NpyWriter writer(path, {Index{1} << 40, Index{1} << 40});
  });
}

TEST(ReadNpyTest, ReadsEveryVersionAndType) {
  const TemporaryDirectory directory;
  const std::string data = Floats({1.5F, -2.0F});
  for (const int version : {1, 2, 3}) {
    // Any order, either quote, blanks, no last comma.
    const auto path = directory.Write(
        "x.npy",
        FileOf(version, "{\"shape\":(2 , ) ,'fortran_order':False, 'descr' : '<f4'}\n", data));
    EXPECT_EQ(ReadNpy(path).values, (std::vector<float>{1.5F, -2.0F}));
  }
  const double wide = 0.1;
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &wide, 8);
  EXPECT_EQ(
      ReadNpy(directory.Write(
                  "x.npy", FileOf(1, "{'descr':'<f8','fortran_order':False,'shape':(1,)}", bytes)))
          .values,
      std::vector<float>{0.1F});
  EXPECT_EQ(ReadNpy(directory.Write("x.npy",
                                    FileOf(1, "{'descr':'<f2','fortran_order':False,'shape':(1,)}",
                                           std::string("\x00\x3e", 2))))
                .values,
            std::vector<float>{1.5F});
}

TEST(ReadNpyTest, RefusesBadFiles) {
  const std::string data = Floats({1.0F, 2.0F});
  const auto header = [](const std::string& type, const std::string& order,
                         const std::string& shape) {
    return "{'descr': " + type + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
  };
  ExpectNpyRefused(ErrorCode::kCorruptData, "does not begin with", "");
  ExpectNpyRefused(ErrorCode::kCorruptData, "does not begin with", "PK\x03\x04");
  ExpectNpyRefused(ErrorCode::kUnsupported, "version 4.0", FileOf(4, "{}", ""));
  ExpectNpyRefused(ErrorCode::kCorruptData, "the header ends at byte 65545, the file has 12",
                   std::string("\x93NUMPY\x01\x00\xff\xff{}", 12));
  ExpectNpyRefused(ErrorCode::kCorruptData, "the header ends at byte 4294967307",
                   std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14));
  ExpectNpyRefused(ErrorCode::kUnsupported, "'<i8'",
                   FileOf(1, header("'<i8'", "False", "(1,)"), data));
  ExpectNpyRefused(ErrorCode::kUnsupported, "'>f4'",
                   FileOf(1, header("'>f4'", "False", "(2,)"), data));
  ExpectNpyRefused(ErrorCode::kUnsupported, "'|O'",
                   FileOf(1, header("'|O'", "False", "(2,)"), data));
  ExpectNpyRefused(ErrorCode::kUnsupported, "records",
                   FileOf(1, header("[('a', '<f4')]", "False", "(2,)"), data));
  ExpectNpyRefused(ErrorCode::kUnsupported, "Fortran order",
                   FileOf(1, header("'<f4'", "True", "(2,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "the shape [3] of '<f4' takes 12 bytes, 8 follow",
                   FileOf(1, header("'<f4'", "False", "(3,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "takes 4 bytes, 8 follow",
                   FileOf(1, header("'<f4'", "False", "(1,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "takes 2^63 bytes or more",
                   FileOf(1, header("'<f4'", "False", "(4294967296, 4294967296)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "a number of 2^63 or more",
                   FileOf(1, header("'<f4'", "False", "(99999999999999999999,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "a tuple of one number has a ','",
                   FileOf(1, header("'<f4'", "False", "(2)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "a whole number is wanted",
                   FileOf(1, header("'<f4'", "False", "(-2,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "True or False is wanted",
                   FileOf(1, header("'<f4'", "0", "(2,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "an unknown or second key 'shape'",
                   FileOf(1, header("'<f4'", "False", "(2,), 'shape': (2,)"), data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "is missing", FileOf(1, "{'descr': '<f4'}", data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "text after the dictionary",
                   FileOf(1, header("'<f4'", "False", "(2,)") + "x", data));
  ExpectNpyRefused(ErrorCode::kCorruptData, "more than 64 dimensions", [&] {
    std::string shape = "(";
    for (int i = 0; i < 65; ++i) shape += "1,";
    return FileOf(1, header("'<f4'", "False", shape + ")"), data);
  }());
}

TEST(ReadNpyTest, EveryCutIsAnErrorAndEveryFlippedByteAnErrorOrAnArray) {
  const TemporaryDirectory directory;
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n";
  const std::string valid = FileOf(1, header, Floats({1.0F, 2.0F}));
  const auto path = directory.path() / "x.npy";
  for (std::size_t size = 0; size < valid.size(); ++size) {
    directory.Write("x.npy", valid.substr(0, size));
    EXPECT_THROW(ReadNpy(path), Error) << size;
  }
  for (std::size_t i = 0; i < valid.size() - 8; ++i) {
    for (int mask = 1; mask < 256; mask += 2) {
      std::string changed = valid;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      directory.Write("x.npy", changed);
      try {
        ReadNpy(path);
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace cliplens
