#include "cliplens/io/safetensors.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/json.h"

namespace cliplens {
namespace {

template <typename T>
std::span<const std::uint8_t> BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)};
}

std::string Prefix(std::uint64_t size) {
  std::string prefix(8, '\0');
  std::memcpy(prefix.data(), &size, 8);
  return prefix;
}

// A file with this header and so many bytes of data.
std::string FileOf(const std::string& header, std::size_t data_size) {
  return Prefix(header.size()) + header + std::string(data_size, '\x01');
}

void ExpectSafetensorsRefused(ErrorCode code, const std::string& words, const std::string& bytes) {
  const TemporaryDirectory directory;
  ExpectError(code, words, [&] { SafetensorsFile file(directory.Write("x.safetensors", bytes)); });
}

void ExpectHeaderRefused(const std::string& words, const std::string& header,
                         std::size_t data_size) {
  ExpectSafetensorsRefused(ErrorCode::kCorruptData, words, FileOf(header, data_size));
}

TEST(SafetensorsTest, RoundTrip) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.safetensors";
  const std::vector<float> a = {1.5F, -2.0F, 0.0F, 4.0F, 5.0F, 6.0F};
  const std::vector<std::uint8_t> b = {7, 8, 9};
  const std::vector<double> c = {0.1};
  const std::vector<TensorToWrite> tensors = {
      {.name = "bytes", .type = DataType::kU8, .shape = {3}, .bytes = BytesOf(b)},
      {.name = "a", .type = DataType::kF32, .shape = {2, 3}, .bytes = BytesOf(a)},
      {.name = "empty", .type = DataType::kF32, .shape = {0, 5}, .bytes = {}},
      {.name = "scalar", .type = DataType::kF64, .shape = {}, .bytes = BytesOf(c)}};
  const std::string checksum = WriteSafetensors(path, tensors, {{"format", "pt"}, {"x", "1\n2"}});
  EXPECT_EQ(checksum, HashBytes(ReadFile(path, 1 << 20)));

  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("x"), "1\n2");
  EXPECT_EQ(file.ReadAsFloat(file.at("a")), a);
  EXPECT_EQ(file.at("a").shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(file.ReadNumbers(file.at("scalar")), c);
  EXPECT_TRUE(file.at("scalar").shape.empty());
  EXPECT_TRUE(file.ReadAsFloat(file.at("empty")).empty());
  EXPECT_EQ(file.ReadNumbers(file.at("bytes")), (std::vector<double>{7, 8, 9}));
  EXPECT_EQ(file.ReadAsFloat(file.at("a"), 2, 3), (std::vector<float>{0.0F, 4.0F, 5.0F}));
  ExpectError(ErrorCode::kInvalidArgument, "has 6 values, 3 from number 4",
              [&] { file.ReadAsFloat(file.at("a"), 4, 3); });
  EXPECT_TRUE(file.contains("a"));
  EXPECT_FALSE(file.contains("b"));
  // Every tensor lies at a multiple of its element's size, the first at a multiple of 64.
  for (const auto& [name, tensor] : file.tensors()) {
    EXPECT_EQ(tensor.offset % SizeOf(tensor.type), 0) << name;
  }
  EXPECT_EQ(file.at("scalar").offset % 64, 0);
}

TEST(SafetensorsTest, TellsOfAFileThatWasCutOffMeanwhile) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.safetensors";
  const std::vector<float> a = {1, 2, 3, 4};
  const TensorToWrite tensor{
      .name = "a", .type = DataType::kF32, .shape = {4}, .bytes = BytesOf(a)};
  WriteSafetensors(path, {&tensor, 1});
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 4);
  ExpectError(ErrorCode::kCorruptData, "was it changed", [&] { file.ReadAsFloat(file.at("a")); });
}

TEST(SafetensorsTest, WritesTheSameBytesTwice) {
  const TemporaryDirectory directory;
  const std::vector<float> a = {1.0F};
  const std::vector<TensorToWrite> tensors = {
      {.name = "a", .type = DataType::kF32, .shape = {1}, .bytes = BytesOf(a)}};
  EXPECT_EQ(WriteSafetensors(directory.path() / "1", tensors, {{"k", "v"}}),
            WriteSafetensors(directory.path() / "2", tensors, {{"k", "v"}}));
}

TEST(SafetensorsTest, NamesAMissingTensor) {
  const TemporaryDirectory directory;
  const SafetensorsFile file(directory.Write(
      "x.safetensors", FileOf(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2)));
  ExpectError(ErrorCode::kNotFound, "x.safetensors: has no tensor \"visual.proj\" among its 1",
              [&] { file.at("visual.proj"); });
}

TEST(SafetensorsTest, ReadsUnalignedTensorsOfEveryFloatType) {
  const TemporaryDirectory directory;
  const std::string header = R"({"pad":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},)"
                             R"("d":{"dtype":"F64","shape":[1],"data_offsets":[1,9]},)"
                             R"("f":{"dtype":"F32","shape":[1],"data_offsets":[9,13]},)"
                             R"("h":{"dtype":"F16","shape":[1],"data_offsets":[13,15]},)"
                             R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[15,17]},)"
                             R"("4":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[17,18]},)"
                             R"("5":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[18,19]}}  )";
  std::string data(19, '\0');
  const double d = -0.1;
  const float f = 3.25F;
  const std::uint16_t h = 0x3E00;  // 1.5
  const std::uint16_t b = 0xC049;  // -3.140625
  std::memcpy(data.data() + 1, &d, 8);
  std::memcpy(data.data() + 9, &f, 4);
  std::memcpy(data.data() + 13, &h, 2);
  std::memcpy(data.data() + 15, &b, 2);
  data[17] = '\x3C';
  data[18] = '\x3D';
  const SafetensorsFile file(
      directory.Write("x.safetensors", Prefix(header.size()) + header + data));
  EXPECT_EQ(file.ReadNumbers(file.at("d"))[0], d);
  EXPECT_EQ(file.ReadAsFloat(file.at("d"))[0], -0.1F);
  EXPECT_EQ(file.ReadAsFloat(file.at("f"))[0], f);
  EXPECT_EQ(file.ReadAsFloat(file.at("h"))[0], 1.5F);
  EXPECT_EQ(file.ReadAsFloat(file.at("b"))[0], -3.140625F);
  EXPECT_EQ(file.ReadNumbers(file.at("b"))[0], -3.140625);
  EXPECT_EQ(file.ReadAsFloat(file.at("4"))[0], 1.5F);
  EXPECT_EQ(file.ReadAsFloat(file.at("5"))[0], 1.25F);
  ExpectError(ErrorCode::kUnsupported, "tensor \"pad\": has the type BOOL",
              [&] { file.ReadAsFloat(file.at("pad")); });
}

TEST(SafetensorsTest, RefusesBadSizes) {
  ExpectSafetensorsRefused(ErrorCode::kCorruptData, "has 0 bytes", "");
  ExpectSafetensorsRefused(ErrorCode::kCorruptData, "has 9 bytes", Prefix(1) + "{");
  ExpectSafetensorsRefused(ErrorCode::kCorruptData,
                           "the header claims 1152921504606846976 bytes, 2 follow",
                           Prefix(std::uint64_t{1} << 60) + "{}");
  ExpectSafetensorsRefused(ErrorCode::kCorruptData, "the header claims 18446744073709551615 bytes",
                           Prefix(~std::uint64_t{0}) + "{}");
  ExpectSafetensorsRefused(ErrorCode::kCorruptData, "the header claims 3 bytes, 2 follow",
                           Prefix(3) + "{}");
  ExpectSafetensorsRefused(ErrorCode::kCorruptData, "Git LFS pointer",
                           "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
}

TEST(SafetensorsTest, RefusesAHeaderAboveItsBounds) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("x.safetensors", Prefix((32 << 20) + 1) + "{}");
  std::filesystem::resize_file(path, 40 << 20);  // sparse
  ExpectError(ErrorCode::kExhausted,
              "the header claims 33554433 bytes, at most 33554432 are read; split the file",
              [&] { SafetensorsFile file(path); });
  std::string header = "{\"__metadata__\":{}";
  for (int i = 0; i < 150'000; ++i) {
    header += fmt::format(R"(,"{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", i);
  }
  header += "}";
  ExpectSafetensorsRefused(ErrorCode::kExhausted, "header: holds more than 1048576 values",
                           Prefix(header.size()) + header);
}

TEST(SafetensorsTest, RefusesBadHeaders) {
  ExpectHeaderRefused("begins with \" \"", " {}", 0);
  ExpectHeaderRefused("begins with \"[\"", "[]", 0);
  ExpectHeaderRefused("header: line 1, column 2", "{x}", 0);
  ExpectHeaderRefused("the key \"a\" stands twice",
                      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                      R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                      2);
  ExpectHeaderRefused("tensor \"a\" is described by a JSON array", R"({"a":[]})", 0);
  ExpectHeaderRefused("__metadata__ is a JSON number", R"({"__metadata__":1})", 0);
  ExpectHeaderRefused("__metadata__ has \"k\" as a JSON number", R"({"__metadata__":{"k":1}})", 0);
  ExpectHeaderRefused("tensor \"a\" has no \"dtype\"", R"({"a":{"shape":[],"data_offsets":[0,1]}})",
                      1);
  ExpectHeaderRefused("tensor \"a\" has no \"shape\"",
                      R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1);
  ExpectHeaderRefused("tensor \"a\" has no \"data_offsets\"", R"({"a":{"dtype":"U8","shape":[1]}})",
                      1);
  ExpectHeaderRefused("has the dtype 8", R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})",
                      1);
  ExpectHeaderRefused("in its shape has -1",
                      R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1);
  ExpectHeaderRefused("in its shape has 1.5",
                      R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", 1);
  ExpectHeaderRefused("two numbers are wanted",
                      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1);
  ExpectHeaderRefused("in its data_offsets has 18446744073709551615",
                      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})",
                      1);
  ExpectHeaderRefused("ends at 0 before it begins at 1",
                      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1);
  ExpectHeaderRefused("takes 8 bytes, but 4 bytes are set aside",
                      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4);
  ExpectHeaderRefused(
      "does not fit 63 bits",
      R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0);
  ExpectHeaderRefused("tensor \"a\" begins at byte 1 of the data, the one before it ends at 0",
                      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2);
  ExpectHeaderRefused("tensor \"b\" begins at byte 1 of the data, the one before it ends at 2",
                      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                      R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                      3);
  ExpectHeaderRefused("tensor \"a\" ends at byte 9 of the data, which has 8",
                      R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 8);
  ExpectHeaderRefused("the tensors take 1 bytes, 2 follow the header",
                      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2);
  ExpectHeaderRefused("tensor \"a\\x0ab\"",
                      R"({"a\nb":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})", 2);
  ExpectSafetensorsRefused(
      ErrorCode::kUnsupported, "tensor \"a\" has the dtype \"F8_E8M0\"",
      FileOf(R"({"a":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[0,1]}})", 1));
}

TEST(SafetensorsTest, EveryCutIsAnErrorAndEveryFlippedByteAnErrorOrAFile) {
  const TemporaryDirectory directory;
  const std::string valid =
      FileOf(R"({"__metadata__":{"k":"v"},"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},)"
             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})",
             7);
  const auto path = directory.path() / "x.safetensors";
  for (std::size_t size = 0; size < valid.size(); ++size) {
    directory.Write("x.safetensors", valid.substr(0, size));
    EXPECT_THROW(SafetensorsFile file(path), Error) << size;
  }
  for (std::size_t i = 0; i < valid.size() - 7; ++i) {
    for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string changed = valid;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      directory.Write("x.safetensors", changed);
      try {
        const SafetensorsFile file(path);
        for (const auto& [name, tensor] : file.tensors()) {
          if (tensor.type == DataType::kF16) file.ReadAsFloat(tensor);
        }
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
}

TEST(WriteSafetensorsTest, RefusesWhatContradictsItself) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.safetensors";
  const std::vector<std::uint8_t> bytes = {1, 2, 3, 4};
  const auto write = [&](std::vector<TensorToWrite> tensors) { WriteSafetensors(path, tensors); };
  ExpectError(
      ErrorCode::kInvalidArgument, "tensor \"a\" of shape [2] and type F32 was given 4 bytes",
      [&] { write({{.name = "a", .type = DataType::kF32, .shape = {2}, .bytes = bytes}}); });
  ExpectError(ErrorCode::kInvalidArgument, "two tensors are named \"a\"", [&] {
    write({{.name = "a", .type = DataType::kF32, .shape = {1}, .bytes = bytes},
           {.name = "a", .type = DataType::kF32, .shape = {1}, .bytes = bytes}});
  });
  ExpectError(ErrorCode::kInvalidArgument, "cannot name a tensor", [&] {
    write({{.name = "__metadata__", .type = DataType::kF32, .shape = {1}, .bytes = bytes}});
  });
  EXPECT_FALSE(std::filesystem::exists(path));
}

// The definition of the format, in double precision.
double ref_HalfToDouble(std::uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  if (exponent == 31) return sign * (fraction == 0 ? INFINITY : NAN);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(HalfTest, EveryValueIsExactAndComesBack) {
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const double wanted = ref_HalfToDouble(bits);
    const float value = HalfToFloat(bits);
    if (std::isnan(wanted)) {
      EXPECT_TRUE(std::isnan(value)) << i;
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value)))) << i;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), wanted) << i;
    ASSERT_EQ(std::signbit(value), std::signbit(wanted)) << i;
    ASSERT_EQ(FloatToHalf(value), bits) << i;
  }
}

// By the format's definition (arXiv 2209.05433, table 1).
TEST(EightBitFloatTest, EveryValue) {
  const auto value = [](int bits, int fraction_bits, int bias) {
    const int exponent = (bits & 0x7F) >> fraction_bits;
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const double magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias - fraction_bits)
                                           : std::ldexp(fraction + (1 << fraction_bits),
                                                        exponent - bias - fraction_bits);
    return (bits & 0x80) != 0 ? -magnitude : magnitude;
  };
  for (int bits = 0; bits < 256; ++bits) {
    const float four = E4M3ToFloat(static_cast<std::uint8_t>(bits));
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(four)) << bits;
    } else {
      EXPECT_EQ(static_cast<double>(four), value(bits, 3, 7)) << bits;
      EXPECT_EQ(std::signbit(four), bits >= 128) << bits;
    }
    const float five = E5M2ToFloat(static_cast<std::uint8_t>(bits));
    if ((bits & 0x7F) < 0x7C) {
      EXPECT_EQ(static_cast<double>(five), value(bits, 2, 15)) << bits;
    } else {
      EXPECT_EQ(std::isinf(five), (bits & 0x7F) == 0x7C) << bits;
      EXPECT_EQ(std::isnan(five), (bits & 0x7F) > 0x7C) << bits;
    }
  }
}

TEST(HalfTest, RoundsToNearestTiesToEven) {
  // Between each two neighbours: the midpoint goes to the even one, what lies beside it to the
  // nearer one.
  for (int i = 0; i < 0x7BFF; ++i) {
    const auto low = static_cast<std::uint16_t>(i);
    const auto high = static_cast<std::uint16_t>(i + 1);
    const float middle = 0.5F * (HalfToFloat(low) + HalfToFloat(high));
    ASSERT_EQ(FloatToHalf(middle), i % 2 == 0 ? low : high) << i;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0F)), low) << i;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, INFINITY)), high) << i;
    ASSERT_EQ(FloatToHalf(-middle), (i % 2 == 0 ? low : high) | 0x8000) << i;
  }
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0F, 0.0F)), 0x7BFF);
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7C00);
  EXPECT_EQ(FloatToHalf(3.0e38F), 0x7C00);
  EXPECT_EQ(FloatToHalf(-INFINITY), 0xFC00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(FloatToHalf(-0.0F), 0x8000);
  EXPECT_EQ(FloatToHalf(std::bit_cast<float>(0x7F800001U)) & 0x7E00, 0x7E00);
}

TEST(ShapeTextTest, LooksLikeAList) {
  EXPECT_EQ(ShapeText(std::vector<Index>{768, 512}), "[768, 512]");
  EXPECT_EQ(ShapeText({}), "[]");
}

}  // namespace
}  // namespace cliplens
