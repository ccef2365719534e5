#include "cliplens/io/json.h"

#include <ctime>
#include <string>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(ParseJsonTest, KeepsValuesAndOrder) {
  const Json value = ParseJson(
      R"({"z": 1, "a": [true, null, -2, 1.5, "caf\u00e9"], "m": {"z": 18446744073709551615}})",
      "x");
  EXPECT_EQ(
      DumpJson(value),
      "{\"z\":1,\"a\":[true,null,-2,1.5,\"caf\xc3\xa9\"],\"m\":{\"z\":18446744073709551615}}");
  EXPECT_EQ(DumpJson(ParseJson("[]", "x")), "[]");
  EXPECT_EQ(DumpJson(ParseJson(" 7 ", "x")), "7");
}

TEST(ParseJsonTest, TellsWhereItWentWrong) {
  ExpectError(ErrorCode::kCorruptData, "c.json: line 3, column 7: ", [] {
    ParseJson("{\n\"a\": 1,\n\"b\": 0x\n}", "c.json");
  });
  ExpectError(ErrorCode::kCorruptData,
              "c.json: line 1, column 1: ", [] { ParseJson("", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "unexpected end of input",
              [] { ParseJson("{\"a\": [1, 2", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "line 1, column 4", [] { ParseJson("{} {}", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "number overflow", [] { ParseJson("[1e999]", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "line 1", [] { ParseJson("[NaN]", "c.json"); });
}

TEST(ParseJsonTest, RefusesBadUtf8) {
  ExpectError(ErrorCode::kCorruptData, "UTF-8", [] { ParseJson("[\"\xff\"]", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "UTF-8", [] { ParseJson("[\"\xed\xa0\x80\"]", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "line 1", [] { ParseJson("[\"\\ud800\"]", "c.json"); });
}

TEST(ParseJsonTest, RefusesDuplicateKeys) {
  ExpectError(ErrorCode::kCorruptData, "c.json: line 2, column 4: the key \"a\" stands twice",
              [] { ParseJson("{\"a\": 1,\n \"a\": 2}", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "stands twice",
              [] { ParseJson(R"({"a": 1, "\u0061": 2})", "c.json"); });
  // The same key in different objects is fine.
  EXPECT_NO_THROW(ParseJson(R"({"a": {"a": 1}, "b": {"a": 2}})", "c.json"));
}

TEST(ParseJsonTest, BoundsTheDepth) {
  EXPECT_NO_THROW(ParseJson(std::string(64, '[') + std::string(64, ']'), "x"));
  ExpectError(ErrorCode::kCorruptData, "line 1, column 65: nested deeper than 64 levels",
              [] { ParseJson(std::string(65, '[') + std::string(65, ']'), "x"); });
  ExpectError(ErrorCode::kCorruptData, "nested deeper",
              [] { ParseJson(std::string(10'000'000, '['), "x"); });
}

TEST(ParseJsonTest, LargeObjectsTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    if (i > 0) text += ',';
    text += "\"token" + std::to_string(i) + "\":" + std::to_string(i);
  }
  text += '}';
  const std::clock_t begin = std::clock();  // of the processor: other programs do not count
  const Json value = ParseJson(text, "vocab.json");
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_EQ(value.size(), 200'000u);
  EXPECT_EQ(value.back(), 199'999);
  // About 0.2 s; a quadratic reader takes minutes.
  EXPECT_LT(seconds, 10.0);
}

TEST(ParseJsonTest, EveryCutAndEveryFlippedByteIsAnErrorOrAValue) {
  const std::string text =
      "{\"a\": [1, -2.5e3, true], \"b\": {\"c\": null, \"d\": \"\\u00e9\xc3\xa9\"}}";
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THROW(ParseJson(text.substr(0, size), "x"), Error) << size;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int mask = 1; mask < 256; ++mask) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      try {
        ParseJson(changed, "x");
      } catch (const Error& error) {
        EXPECT_STREQ(InfoOf(error.code()).name, "corrupt-data");
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
}

TEST(ReadJsonFileTest, NamesTheFile) {
  const TemporaryDirectory directory;
  EXPECT_EQ(ReadJsonFile(directory.Write("good.json", "[1]")).size(), 1u);
  ExpectError(ErrorCode::kCorruptData, "bad.json: line 1, column 3: ", [&] {
    ReadJsonFile(directory.Write("bad.json", "[1}"));
  });
  ExpectError(ErrorCode::kExhausted, "long.json",
              [&] { ReadJsonFile(directory.Write("long.json", "[1, 2, 3]"), 4); });
}

TEST(JsonFieldTest, GivesTheTypeOrSaysWhatIsWrong) {
  const Json object = ParseJson(
      R"({"b": true, "i": -7, "u": 18446744073709551615, "d": 1.5, "s": "x", "o": {}})", "c.json");
  EXPECT_TRUE(JsonField<bool>(object, "b", "c.json"));
  EXPECT_EQ(JsonField<std::int64_t>(object, "i", "c.json"), -7);
  EXPECT_EQ(JsonField<double>(object, "d", "c.json"), 1.5);
  EXPECT_EQ(JsonField<double>(object, "i", "c.json"), -7.0);
  EXPECT_EQ(JsonField<std::string>(object, "s", "c.json"), "x");
  EXPECT_TRUE(JsonField<Json>(object, "o", "c.json").is_object());
  ExpectError(ErrorCode::kCorruptData, "c.json: \"width\" is missing",
              [&] { JsonField<bool>(object, "width", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "c.json: \"d\" must be a whole number, it is 1.5",
              [&] { JsonField<std::int64_t>(object, "d", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "below 2^63",
              [&] { JsonField<std::int64_t>(object, "u", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "\"s\" must be true or false, it is \"x\"",
              [&] { JsonField<bool>(object, "s", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "\"b\" must be a string, it is true",
              [&] { JsonField<std::string>(object, "b", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "\"s\" must be a number",
              [&] { JsonField<double>(object, "s", "c.json"); });
  ExpectError(ErrorCode::kCorruptData, "of type array",
              [&] { JsonField<bool>(Json::array(), "b", "c.json"); });
}

TEST(DumpJsonTest, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(DumpJson(Json("a\xff")), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(DumpJson(Json({{"a", 1}}), 2), "{\n  \"a\": 1\n}");
}

}  // namespace
}  // namespace cliplens
