#include "cliplens/app/heads.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/app/edits.h"
#include "cliplens/app/spaces.h"
#include "cliplens/io/json.h"

namespace cliplens {
namespace {

class HeadsTest : public testing::Test {
 protected:
  HeadsTest() : store_(PlantedStore{.images = 40}.Write(directory_.path() / "store")) {
    const Json json = {
        {"format", "cliplens.label/3"},
        {"model", {{"name", "planted"}, {"fingerprint", std::string(32, '0')}}},
        {"uncalibrated_because", Json::array()},
        {"properties",
         {{{"property", "colour"},
           {"texts", {"red", "blue"}},
           {"heads", {{{"head", "L0.H0"}, {"share", 0.9}}, {{"head", "L0.H2"}, {"share", 0.4}}}}},
          {{"property", "shape"}, {"texts", {"round", "square"}}, {"heads", Json::array()}}}},
        {"heads",
         {{{"head", "L0.H0"}, {"label", "colour"}, {"second", nullptr}, {"confidence", 1.0}},
          {{"head", "L0.H3"}, {"label", nullptr}, {"second", nullptr}, {"confidence", 0.0}}}}};
    labels_ = directory_.Write("labels.json", DumpJson(json)).string();
  }

  TemporaryDirectory directory_;
  Store store_;
  std::string labels_;
};

TEST_F(HeadsTest, AreChosenByNameOrProperty) {
  const ModelHeads all = HeadsIn(store_);
  EXPECT_EQ(all.layers, 1);
  EXPECT_EQ(all.heads, PlantedStore::kHeads);
  EXPECT_EQ(ChooseHeads({}, all).size(), 5U);
  EXPECT_EQ(ChooseHeads({.heads = "L0.H3,L0.H1"}, all), (std::vector<HeadId>{{0, 1}, {0, 3}}));
  EXPECT_EQ(ChooseHeads({.property = "colour", .labels = labels_}, all),
            (std::vector<HeadId>{{0, 0}}));
  EXPECT_EQ(ReadNamesOfHeads(labels_, all), (std::map<HeadId, std::string>{{{0, 0}, "colour"}}));
  EXPECT_TRUE(ReadNamesOfHeads("", all).empty());
}

TEST_F(HeadsTest, NamesThatCannotBeHadAreRefused) {
  const ModelHeads all = HeadsIn(store_);
  ExpectError(ErrorCode::kInvalidArgument, "L1.H0", [&] { ChooseHeads({.heads = "L1.H0"}, all); });
  ExpectError(ErrorCode::kInvalidArgument, "needs --labels",
              [&] { ChooseHeads({.property = "colour"}, all); });
  ExpectError(ErrorCode::kInvalidArgument, "no property 'size'",
              [&] { ChooseHeads({.property = "size", .labels = labels_}, all); });
  ExpectError(ErrorCode::kNotFound, "no head is labelled 'shape'",
              [&] { ChooseHeads({.property = "shape", .labels = labels_}, all); });
  ModelHeads other = all;
  other.fingerprint = std::string(32, '1');
  ExpectError(ErrorCode::kInvalidArgument, "label a store of this model",
              [&] { ChooseHeads({.property = "colour", .labels = labels_}, other); });
}

TEST_F(HeadsTest, TextsSayWhatWasChosen) {
  EXPECT_EQ((HeadChoice{.heads = "last-2"}).Text(), "heads last-2");
  EXPECT_EQ((HeadChoice{.property = "colour", .labels = "l.json"}).Text(),
            "property colour (l.json)");
  EXPECT_EQ(SpaceChoice{}.Text(), "embedding");
  EXPECT_EQ(SpaceChoice{}.In("L0.H1").Text(), "L0.H1");
  const SpaceChoice named{.heads = {.labels = "l.json"}};
  EXPECT_EQ(named.In("colour").Text(), "property colour (l.json)");
}

TEST_F(HeadsTest, ASpaceOfAPropertyAsksTheModelForItsTextsAlone) {
  int asked = 0;
  const RowModel model("f", Precision::kF32, [&]() -> const ClipModel& {
    ++asked;
    throw Error(ErrorCode::kNotFound, "no model");
  });
  EXPECT_TRUE(OpenSpace({}, store_, model, {}).heads.empty());
  EXPECT_EQ(OpenSpace({.heads = {.heads = "L0.H1"}}, store_, model, {}).heads,
            (std::vector<HeadId>{{0, 1}}));
  ExpectError(ErrorCode::kNotFound, "explains no head better than chance", [&] {
    OpenSpace({.heads = {.property = "shape", .labels = labels_}}, store_, model, {});
  });
  EXPECT_EQ(asked, 0);
  ExpectError(ErrorCode::kNotFound, "no model", [&] {
    OpenSpace({.heads = {.property = "colour", .labels = labels_}}, store_, model, {});
  });
  EXPECT_EQ(asked, 1);
  ExpectError(ErrorCode::kInvalidArgument, "measure cosine, dot or raw",
              [&] { OpenSpace({.measure = "length"}, store_, model, {}); });
}

TEST_F(HeadsTest, EditsAreMadeOfNamesAndModes) {
  const Edit mean = MakeEdit(store_, {.which = {.property = "colour", .labels = labels_}});
  EXPECT_EQ(mean.Names(), "L0.H0");
  EXPECT_EQ(mean.note, "heads of the property colour");
  EXPECT_EQ(mean.means, store_.directory().string());
  const Edit scaled = MakeEdit(store_, {.which = {.heads = "L0.H1"}, .mode = "scale=0.5"});
  EXPECT_EQ(scaled.components.front().scale, 0.5);
  EXPECT_EQ(scaled.means, "");
  for (const char* mode : {"", "half", "scale=", "scale=1x"}) {
    ExpectError(ErrorCode::kInvalidArgument, "mean or scale=X",
                [&] { MakeEdit(store_, {.which = {.heads = "L0.H1"}, .mode = mode}); });
  }
  ExpectError(ErrorCode::kInvalidArgument, "--means is for --mode mean", [&] {
    MakeEdit(store_, {.which = {.heads = "L0.H1"}, .mode = "scale=0", .means = "other"});
  });
}

}  // namespace
}  // namespace cliplens
