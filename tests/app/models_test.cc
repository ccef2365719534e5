#include "cliplens/app/models.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>
#include <stdlib.h>

#include "cliplens/app/shipped.h"

namespace cliplens {
namespace {

class ModelsTest : public testing::Test {
 protected:
  void SetUp() override { setenv("CLIPLENS_SHARE", CLIPLENS_SOURCE_DIR, 1); }
  void TearDown() override { unsetenv("CLIPLENS_SHARE"); }

  TemporaryDirectory directory_;
};

TEST_F(ModelsTest, ABareNameIsThatOfSomethingShipped) {
  const std::string root = CLIPLENS_SOURCE_DIR;
  EXPECT_EQ(ModelPath("pictureworld"), root + "/models/pictureworld");
  EXPECT_EQ(TextsPath("general"), root + "/texts/general.txt");
  EXPECT_EQ(TextsPath("", "properties"), root + "/texts/properties.txt");
}

TEST_F(ModelsTest, OtherNamesArePaths) {
  EXPECT_EQ(ModelPath("./pictureworld"), "./pictureworld");
  EXPECT_EQ(ModelPath("no-such-model"), "no-such-model");
  EXPECT_EQ(TextsPath("texts/general"), "texts/general");
  EXPECT_EQ(TextsPath("", "general"), TextsPath("general"));
}

TEST_F(ModelsTest, WhatIsNotShippedIsNamedWithTheWayOut) {
  ExpectError(ErrorCode::kNotFound, "set CLIPLENS_SHARE",
              [] { ShippedPath("texts/no-such-pool.txt"); });
}

TEST_F(ModelsTest, NamesThatLeadNowhereAreRefused) {
  ExpectError(ErrorCode::kNotFound, "no-such-model", [] { LoadModel({.model = "no-such-model"}); });
  ExpectError(ErrorCode::kNotFound, "no-such-org/no-such-model",
              [] { LoadModel({.model = "hf:no-such-org/no-such-model"}); });
  ExpectError(ErrorCode::kInvalidArgument, "fp64",
              [] { LoadModel({.model = "pictureworld", .precision = "fp64"}); });
}

TEST_F(ModelsTest, AStoresModelThatIsGoneIsNamed) {
  const Store store = PlantedStore{.images = 20}.Write(directory_.path() / "store");
  ExpectError(ErrorCode::kNotFound, "/planted: the model planted of this store is not there",
              [&] { LoadModelOf(store, {}); });
}

TEST_F(ModelsTest, AModelOfAnotherFingerprintIsRefused) {
  const Store store = PlantedStore{.images = 20}.Write(directory_.path() / "store");
  RandomModel{}.Write(directory_.path() / "model");
  const std::string model = (directory_.path() / "model").string();
  ExpectError(ErrorCode::kInvalidArgument, std::string(32, '0'),
              [&] { LoadModelOf(store, {.model = model}); });
  const LazyModel lazy(store, {.model = model});
  EXPECT_EQ(lazy.ForRows().fingerprint, std::string(32, '0'));  // known without loading
  ExpectError(ErrorCode::kInvalidArgument, std::string(32, '0'), [&] { lazy.Get(); });
}

TEST_F(ModelsTest, IsLoadedOnceForAllCopies) {
  RandomModel{}.Write(directory_.path() / "model");
  int loads = 0;
  const LazyModel model("f", Precision::kF32, [&] {
    if (++loads == 1) throw Error(ErrorCode::kNotFound, "not yet");
    return std::make_shared<const ClipModel>(ClipModel::Load(directory_.path() / "model"));
  });
  const LazyModel copy = model;
  EXPECT_EQ(loads, 0);
  ExpectError(ErrorCode::kNotFound, "not yet", [&] { model.Get(); });
  EXPECT_EQ(&model.Get(), &copy.Get());
  EXPECT_EQ(&copy.ForRows().load(), &model.Get());
  EXPECT_EQ(loads, 2);
}

}  // namespace
}  // namespace cliplens
