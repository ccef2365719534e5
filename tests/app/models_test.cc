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

TEST_F(ModelsTest, ALoadedModelHasANameAsLongAsItLives) {
  RandomModel{}.Write(directory_.path() / "model");
  const LoadedModel model = LoadModel({.model = (directory_.path() / "model").string()});
  std::string name;
  {
    const NamedModel named(model);
    name = named.name();
    EXPECT_EQ(LoadModel({.model = name}), model);
    EXPECT_EQ(PreprocessOf({.model = name}), model->config().preprocess);
    ExpectError(ErrorCode::kInvalidArgument, "another level",
                [&] { LoadModel({.model = name, .level = Level::kPool}); });
    ExpectError(ErrorCode::kInvalidArgument, "another size", [&] {
      LoadModel({.model = name, .image_size = model->config().preprocess.image_size + 1});
    });
    EXPECT_NE(NamedModel(model).name(), name);
    EXPECT_EQ(LoadModel({.model = name}), model);
  }
  ExpectError(ErrorCode::kNotFound, name, [&] { LoadModel({.model = name}); });
}

TEST_F(ModelsTest, TextsOfAStoreMayHaveAnEncoderOutside) {
  const PlantedStore planted{.images = 20};
  const Store store = planted.Write(directory_.path() / "store");
  Index rows = 1;
  {
    const TextEncoderInUse encoder(store.info().fingerprint,
                                   [&](std::span<const std::string>, bool) {
                                     Array<float, 2> made({rows, 3});
                                     for (Index i = 0; i < rows; ++i) made.row(i)[0] = 1;
                                     return made;
                                   });
    const LazyModel lazy(store, {});  // whose model is not there
    const std::vector<std::string> texts = {"a duck"};
    EXPECT_EQ(lazy.EmbedTexts(texts, false, 1).row(0)[0], 1);
    rows = 2;
    ExpectError(ErrorCode::kInvalidArgument, "2 rows of 1 texts",
                [&] { lazy.EmbedTexts(texts, false, 1); });
    ExpectError(ErrorCode::kPrecondition, "has an encoder",
                [&] { const TextEncoderInUse second(store.info().fingerprint, {}); });
  }
  ExpectError(ErrorCode::kNotFound, "is not there any more",
              [&] { LazyModel(store, {}).EmbedTexts({}, false, 1); });
}

}  // namespace
}  // namespace cliplens
