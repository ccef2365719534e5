#include "cliplens/io/matlab5.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/matlab_builder.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class Matlab5Test : public testing::Test {
 protected:
  std::map<std::string, MatlabValue> Read(const std::string& bytes) {
    return ReadMatlab5(directory_.Write("a.mat", bytes));
  }
  TemporaryDirectory directory_;
};

TEST_F(Matlab5Test, ReadsStructuresPackedAndPlain) {
  const auto variables =
      Read(MatlabMeta({{7, "n00000007", "tench, Tinca"}, {300, "n00000300", "x"}}));
  ASSERT_EQ(variables.size(), 1U);
  const MatlabValue& synsets = variables.at("synsets");
  EXPECT_EQ(synsets.size, 2);
  EXPECT_EQ(synsets.Field(0, "ILSVRC2012_ID").numbers, std::vector<double>{7});
  EXPECT_EQ(synsets.Field(1, "ILSVRC2012_ID").numbers, std::vector<double>{300});
  EXPECT_EQ(synsets.Field(0, "words").text, "tench, Tinca");
  EXPECT_EQ(synsets.Field(1, "WNID").text, "n00000300");
  EXPECT_EQ(synsets.Field(1, "children").size, 0);
  ExpectError(ErrorCode::kCorruptData, "no field 'gloss' of structure 0",
              [&] { (void)synsets.Field(0, "gloss"); });
  ExpectError(ErrorCode::kCorruptData, "of structure 2", [&] { (void)synsets.Field(2, "WNID"); });

  const std::string cell = MatlabArray(1, {1, 2}, "c", MatlabText("a\xe9") + MatlabNumber(0.5));
  const auto plain = Read(MatlabFile(cell));
  EXPECT_EQ(plain.at("c").elements[0].text, "a\xc3\xa9");
  EXPECT_EQ(plain.at("c").elements[1].numbers, std::vector<double>{0.5});
}

TEST_F(Matlab5Test, RefusesWhatIsBroken) {
  const std::string good = MatlabFile(MatlabStructures("s", {"f"}, 1, MatlabText("x")));
  ExpectError(ErrorCode::kUnsupported, "a.mat: is no (little-endian) MATLAB 5 file",
              [&] { Read("PK"); });
  ExpectError(ErrorCode::kUnsupported, "is a MATLAB 7.3 file, one of version 5 was expected",
              [&] { Read("MATLAB 7.3 MAT-file" + std::string(600, ' ')); });
  ExpectError(ErrorCode::kCorruptData, "an element claims 4294967295 bytes, 0 are left",
              [&] { Read(MatlabFile(MatlabWord(14) + MatlabWord(0xffffffffU))); });
  ExpectError(ErrorCode::kCorruptData, "more elements than the file can hold", [&] {
    Read(MatlabFile(MatlabArray(6, {1U << 30, 1U << 30}, "x", MatlabElement(9, ""))));
  });
  ExpectError(ErrorCode::kCorruptData, "another number of values than its shape", [&] {
    Read(MatlabFile(MatlabArray(6, {3, 1}, "x", MatlabElement(2, "ab"))));
  });
  ExpectError(ErrorCode::kCorruptData, "a cell or a field is missing",
              [&] { Read(MatlabFile(MatlabStructures("s", {"f"}, 2, MatlabText("x")))); });
  std::string nested = MatlabNumber(1);
  for (int i = 0; i < 30; ++i) nested = MatlabArray(1, {1, 1}, "", nested);
  ExpectError(ErrorCode::kCorruptData, "nested too deep", [&] { Read(MatlabFile(nested)); });
  ExpectError(ErrorCode::kExhausted, "unpacks to more than 16777216 bytes",
              [&] { Read(MatlabFile(MatlabPacked(std::string(17 << 20, '\0')))); });
  // The bound holds for all variables together.
  const std::string zeros =
      MatlabPacked(MatlabArray(6, {9 << 20, 1}, "x", MatlabElement(2, std::string(9 << 20, '\0'))));
  EXPECT_EQ(Read(MatlabFile(zeros)).at("x").size, 9 << 20);
  ExpectError(ErrorCode::kExhausted, "unpacks to more than",
              [&] { Read(MatlabFile(zeros + zeros)); });
  ExpectError(ErrorCode::kCorruptData, "what is packed is damaged",
              [&] { Read(MatlabFile(MatlabWord(15) + MatlabWord(4) + "abcd")); });
}

TEST_F(Matlab5Test, EveryCutAndEveryFlippedByteIsAnErrorOrAValue) {
  const std::string valid =
      MatlabFile(MatlabStructures("s", {"f", "g"}, 1, MatlabText("xy") + MatlabByte(3)));
  for (std::size_t i = 0; i < valid.size(); ++i) {
    std::string changed = valid;
    changed[i] = static_cast<char>(changed[i] ^ 0x55);
    for (const std::string& bytes : {valid.substr(0, i), changed}) {
      try {
        Read(bytes);
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace cliplens
