#include "cliplens/io/sealed_json.h"

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"

namespace cliplens {
namespace {

TEST(SealedJson, EveryChangedByteIsNoticed) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "sealed.json";
  const Json document = {{"name", "a"}, {"list", {1, 2, 3}}, {"inner", {{"checksum", "no"}}}};
  const std::string text = SealJson(document);
  WriteFileAtomically(path, text);
  EXPECT_EQ(ReadSealedJson(path, 1 << 20), document);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 3, 5}) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      WriteFileAtomically(path, changed);
      ExpectError(ErrorCode::kCorruptData, "sealed.json", [&] { ReadSealedJson(path, 1 << 20); });
    }
  }
  for (std::size_t n = 0; n < text.size(); ++n) {
    WriteFileAtomically(path, std::string_view(text).substr(0, n));
    ExpectError(ErrorCode::kCorruptData, "sealed.json", [&] { ReadSealedJson(path, 1 << 20); });
  }
}

TEST(SealedJson, AnOlderDocumentWithoutAChecksumCanBeAskedFor) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "old.json";
  WriteFileAtomically(path, std::string_view("{\"version\": 1, \"x\": {\"checksum\": \"y\"}}\n"));
  bool unsealed = false;
  EXPECT_EQ(ReadSealedJson(path, 1 << 20, &unsealed)["version"], 1);
  EXPECT_TRUE(unsealed);
  ExpectError(ErrorCode::kCorruptData, "does not end in its checksum",
              [&] { ReadSealedJson(path, 1 << 20); });
}

}  // namespace
}  // namespace cliplens
