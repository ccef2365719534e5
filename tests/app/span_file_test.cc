#include "cliplens/app/span_file.h"

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

constexpr char kFile[] =
    R"({"format":"cliplens.span/1","model":{"name":"m","fingerprint":"aa"},)"
    R"("heads":[{"head":"L0.H1","texts":[{"text":"a duck"},{"text":"a swan"}]},)"
    R"({"head":"L1.H0","texts":[]}]})";

class SpanFileTest : public testing::Test {
 protected:
  SpanFile Read(const std::string& text) const {
    directory_.Write("span.json", text);
    return ReadSpanFile(directory_.path() / "span.json", {"aa", 2, 2});
  }
  void ExpectRefused(const std::string& from, const std::string& to, ErrorCode code,
                     const std::string& words) const {
    std::string text = kFile;
    text.replace(text.find(from), from.size(), to);
    ExpectError(code, words, [&] { Read(text); });
  }
  TemporaryDirectory directory_;
};

TEST_F(SpanFileTest, NamesOfDirections) {
  const SpanFile file = Read(kFile);
  EXPECT_EQ(DirectionNamed(file, "L0.H1:2").text, "a swan");
  EXPECT_EQ(DirectionNamed(file, "L0.H1:2").head, (HeadId{0, 1}));
  EXPECT_EQ(DirectionNamed(file, "L0.H1").text, "a duck");
  for (const char* name :
       {"L0.H1:", "L0.H1:0", "L0.H1:-1", "L0.H1:2x", "L0.H1:99999999999999999999"}) {
    ExpectError(ErrorCode::kInvalidArgument, "second text", [&] { DirectionNamed(file, name); });
  }
  ExpectError(ErrorCode::kNotFound, "has 2 texts, not 3", [&] { DirectionNamed(file, "L0.H1:3"); });
  ExpectError(ErrorCode::kNotFound, "has 0 texts", [&] { DirectionNamed(file, "L1.H0"); });
  ExpectError(ErrorCode::kNotFound, "no head 'L1.H1'", [&] { DirectionNamed(file, "L1.H1"); });
  ExpectError(ErrorCode::kNotFound, "no head", [&] { DirectionNamed(file, ""); });
}

TEST_F(SpanFileTest, RefusesOtherFiles) {
  ExpectRefused("span/1", "label/1", ErrorCode::kCorruptData, "not cliplens.span/1");
  ExpectRefused("\"aa\"", "\"bb\"", ErrorCode::kInvalidArgument, "fingerprint bb");
  ExpectRefused("L0.H1", "L7.H1", ErrorCode::kInvalidArgument, "L7");
  ExpectRefused("L0.H1", "L0", ErrorCode::kCorruptData, "no name of one head");
  ExpectRefused("\"text\":\"a duck\"", "\"text\":1", ErrorCode::kCorruptData, "text");
  ExpectRefused("\"heads\"", "\"hats\"", ErrorCode::kCorruptData, "heads");
  ExpectRefused("[{\"head\"", "[7,{\"head\"", ErrorCode::kCorruptData, "span.json");
}

}  // namespace
}  // namespace cliplens
