#include "cliplens/model/text_cache.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

class TextCacheTest : public testing::Test {
 protected:
  TextCacheTest() {
    RandomModel{}.Write(directory_.path() / "model");
    model_.emplace(ClipModel::Load(directory_.path() / "model"));
    rows_ = model_->EmbedTexts(texts_, false, 1);
  }

  fs::path cache() const { return directory_.path() / "some" / "cache"; }

  // Whether the model was asked; the rows must be right in any case.
  bool Asks(const std::vector<std::string>& texts, const std::string& fingerprint = "f",
            Precision precision = Precision::kF32, bool truncate = false) {
    bool asked = false;
    const Array<float, 2> rows =
        CachedTexts({fingerprint, precision,
                     [&]() -> const ClipModel& {
                       asked = true;
                       return *model_;
                     }},
                    texts, {.truncate = truncate, .threads = 1, .directory = cache()});
    const Array<float, 2> expected = model_->EmbedTexts(texts, truncate, 1);
    EXPECT_EQ(rows.shape(), expected.shape());
    EXPECT_TRUE(std::ranges::equal(rows.flat(), expected.flat()));
    return asked;
  }

  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(cache())) files.push_back(entry.path());
    return files;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::vector<std::string> texts_ = {"red", "blue", "a b"};
  Array<float, 2> rows_;
};

TEST_F(TextCacheTest, TheModelIsAskedOnce) {
  EXPECT_TRUE(Asks(texts_));
  EXPECT_FALSE(Asks(texts_));
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(TextCacheTest, WhateverRowsDependOnHasAFileOfItsOwn) {
  EXPECT_TRUE(Asks(texts_));
  EXPECT_TRUE(Asks(texts_, "g"));
  EXPECT_TRUE(Asks(texts_, "f", Precision::kBF16));
  EXPECT_TRUE(Asks({"blue", "red", "a b"}));
  EXPECT_TRUE(Asks({"red", "blue", "a", "b"}));
  EXPECT_TRUE(Asks({"redblue", "a b"}));
  EXPECT_TRUE(Asks(texts_, "../../../escaped"));
  EXPECT_FALSE(Asks(texts_));
  EXPECT_EQ(Files().size(), 7u);
}

TEST_F(TextCacheTest, TextsThatFittedAreNotCut) {
  EXPECT_TRUE(Asks(texts_));
  EXPECT_FALSE(Asks(texts_, "f", Precision::kF32, /*truncate=*/true));
  // Those that were cut are refused still where they may not be.
  std::string text = "a";
  for (int i = 0; i < 200; ++i) text += " b";
  const std::vector<std::string> longer = {"red", text};
  EXPECT_TRUE(Asks(longer, "f", Precision::kF32, /*truncate=*/true));
  EXPECT_FALSE(Asks(longer, "f", Precision::kF32, /*truncate=*/true));
  ExpectError(ErrorCode::kInvalidArgument, "truncate", [&] { Asks(longer); });
}

TEST_F(TextCacheTest, RowsThatAreNoEmbeddingsAreMadeAnew) {
  EXPECT_TRUE(Asks(texts_));
  const fs::path file = Files().at(0);
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), 0.0f}) {
    std::vector<float> rows(rows_.flat().begin(), rows_.flat().end());
    std::fill_n(rows.begin() + rows_.dim(1), rows_.dim(1), value);
    const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(rows.data()),
                                              rows.size() * sizeof(float));
    const TensorToWrite tensor{"texts", DataType::kF32, {rows_.dim(0), rows_.dim(1)}, bytes};
    WriteSafetensors(file, {&tensor, 1}, {{"checksum", HashBytes(bytes)}});
    EXPECT_TRUE(Asks(texts_));
    EXPECT_FALSE(Asks(texts_));
  }
}

TEST_F(TextCacheTest, ADamagedFileIsMadeAnew) {
  EXPECT_TRUE(Asks(texts_));
  const fs::path file = Files().at(0);
  const auto size = fs::file_size(file);
  // A flipped bit in the rows, a cut file, no file at all, a folder.
  std::fstream open(file, std::ios::in | std::ios::out | std::ios::binary);
  open.seekg(-1, std::ios::end);
  const char last = static_cast<char>(open.peek());
  open.seekp(-1, std::ios::end);
  open.put(static_cast<char>(last ^ 1));
  open.close();
  EXPECT_TRUE(Asks(texts_));
  EXPECT_FALSE(Asks(texts_));
  fs::resize_file(file, size - 4);
  EXPECT_TRUE(Asks(texts_));
  fs::resize_file(file, 0);
  EXPECT_TRUE(Asks(texts_));
  EXPECT_FALSE(Asks(texts_));
  EXPECT_EQ(fs::file_size(file), size);
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_TRUE(Asks(texts_));
  EXPECT_TRUE(Asks(texts_));
}

TEST_F(TextCacheTest, WithoutAPlaceNothingIsKept) {
  directory_.Write("some/cache", "a file where the folder should be");
  EXPECT_TRUE(Asks(texts_));
  EXPECT_TRUE(Asks(texts_));
  bool asked = false;
  CachedTexts({"f", Precision::kF32,
               [&]() -> const ClipModel& {
                 asked = true;
                 return *model_;
               }},
              texts_, {.threads = 1, .directory = {}});
  EXPECT_TRUE(asked);
}

TEST_F(TextCacheTest, TheDirectoryIsTheUsersCache) {
  const auto get = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::optional<std::string>() : std::optional<std::string>(value);
  };
  const auto cache = get("XDG_CACHE_HOME");
  const auto home = get("HOME");
  const auto set = [](const char* name, const std::optional<std::string>& value) {
    if (value) {
      ::setenv(name, value->c_str(), 1);
    } else {
      ::unsetenv(name);
    }
  };
  set("XDG_CACHE_HOME", "/caches");
  set("HOME", "/home/one");
  EXPECT_EQ(CacheDirectory(), "/caches/cliplens");
  set("XDG_CACHE_HOME", "not/absolute");
  EXPECT_EQ(CacheDirectory(), "/home/one/.cache/cliplens");
  set("XDG_CACHE_HOME", std::nullopt);
  EXPECT_EQ(CacheDirectory(), "/home/one/.cache/cliplens");
  set("HOME", std::nullopt);
  EXPECT_EQ(CacheDirectory(), "");
  set("XDG_CACHE_HOME", cache);
  set("HOME", home);
}

}  // namespace
}  // namespace cliplens
