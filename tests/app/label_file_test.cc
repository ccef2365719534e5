#include "cliplens/app/label_file.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

constexpr char kLabels[] = R"({"format": "cliplens.label/3",
 "model": {"name": "small", "fingerprint": "ab"},
 "uncalibrated_because": ["7 pictures of at least 8"],
 "properties": [{"property": "colour", "texts": ["red", "blue"],
                 "heads": [{"head": "L1.H0", "share": 0.5}]},
                {"property": "place", "texts": ["a beach", "a wood", "a town"],
                 "heads": [{"head": "L1.H0", "share": 0.4},
                                                {"head": "L0.H1", "share": 0.3},
                                                {"head": "L1.H1", "share": 0.02}]},
                {"property": "style", "texts": [], "heads": []}],
 "heads": [{"head": "L1.H0", "label": "colour", "second": "place", "confidence": 0.9},
           {"head": "L0.H1", "label": "place", "second": null, "confidence": 0.5},
           {"head": "L0.H0", "label": null, "second": null, "confidence": 0}]})";

class LabelFileTest : public testing::Test {
 protected:
  // Reads the labels with `what` replaced by `with`.
  LabelFile Read(const std::string& what = "", const std::string& with = "") const {
    std::string text = kLabels;
    if (!what.empty()) text.replace(text.find(what), what.size(), with);
    directory_.Write("labels.json", text);
    return ReadLabelFile(directory_.path() / "labels.json", {"ab", 2, 2});
  }

  TemporaryDirectory directory_;
};

TEST_F(LabelFileTest, HeadsOfAProperty) {
  const LabelFile file = Read();
  EXPECT_EQ(file.heads.size(), 3u);
  EXPECT_EQ(file.uncalibrated, (std::vector<std::string>{"7 pictures of at least 8"}));
  EXPECT_EQ(HeadsLabelled(file, "place"), (std::vector<HeadId>{{0, 1}, {1, 0}}));
  EXPECT_EQ(HeadsLabelled(file, "colour"), (std::vector<HeadId>{{1, 0}}));
  EXPECT_EQ(HeadsTelling(file, "place"),
            (std::vector<HeadShare>{{{0, 1}, 0.3}, {{1, 0}, 0.4}, {{1, 1}, 0.02}}));
  for (const auto choose : {+[](const LabelFile& f) { HeadsLabelled(f, "size"); },
                            +[](const LabelFile& f) { HeadsTelling(f, "size"); }}) {
    ExpectError(ErrorCode::kInvalidArgument, "colour, place, style", [&] { choose(file); });
  }
  ExpectError(ErrorCode::kNotFound, "'style' explains no head better than chance",
              [&] { HeadsTelling(file, "style"); });
  ExpectError(ErrorCode::kNotFound, "no head is labelled 'style'",
              [&] { HeadsLabelled(file, "style"); });
}

TEST_F(LabelFileTest, SpaceOfAPropertyIsItsHeadsAndTexts) {
  const LabelFile file = Read();
  EXPECT_EQ(TextsOfProperties(file),
            (std::vector<std::string>{"red", "blue", "a beach", "a wood", "a town"}));
  // The places differ in the first two numbers, the colours in the third.
  Array<float, 2> rows({5, 4});
  rows(0, 2) = rows(2, 0) = rows(3, 1) = 1;
  for (Index t = 0; t < 5; ++t) rows(t, 3) = 0.5;
  const SearchSpace space = SpaceOfProperty(file, "place", rows);
  EXPECT_EQ(space.heads, (std::vector<HeadId>{{0, 1}, {1, 0}, {1, 1}}));
  ASSERT_EQ(space.weights.size(), 3u);
  EXPECT_NEAR(space.weights[1] * space.weights[1], 0.4, 1e-12);
  ASSERT_EQ(space.directions.dim(0), 2);
  for (Index i = 0; i < 2; ++i) {
    EXPECT_NEAR(space.directions(i, 2), 0, 1e-6);
    EXPECT_NEAR(space.directions(i, 3), 0, 1e-6);
  }
  EXPECT_EQ(SpaceOfProperty(file, "colour", rows).directions.dim(0), 1);
  ExpectError(ErrorCode::kInvalidArgument, "colour, place, style",
              [&] { SpaceOfProperty(file, "size", rows); });
}

TEST_F(LabelFileTest, WhatIsNoLabelsOfThisModelIsRefused) {
  ExpectError(ErrorCode::kCorruptData, "cliplens.span/1", [&] { Read("label/3", "span/1"); });
  ExpectError(ErrorCode::kCorruptData, "cliplens.label/2", [&] { Read("label/3", "label/2"); });
  ExpectError(ErrorCode::kInvalidArgument, "fingerprint cd", [&] { Read("\"ab\"", "\"cd\""); });
  ExpectError(ErrorCode::kInvalidArgument, "no such head", [&] { Read("L1.H0", "L2.H0"); });
  ExpectError(ErrorCode::kCorruptData, "L0.H1 twice",
              [&] { Read("L1.H0\", \"label", "L0.H1\", \"label"); });
  ExpectError(ErrorCode::kCorruptData, "L0.H1 twice", [&] { Read("L1.H1", "L0.H1"); });
  for (const char* share : {"0", "-0.1", "1.5"}) {
    ExpectError(ErrorCode::kCorruptData, "not in (0, 1]", [&] { Read("0.02", share); });
  }
  ExpectError(ErrorCode::kCorruptData, "no name of one head", [&] { Read("L1.H0", "all"); });
  ExpectError(ErrorCode::kCorruptData, "\"texts\" must be a list, it is 2",
              [&] { Read("[\"red\", \"blue\"]", "2"); });
  ExpectError(ErrorCode::kCorruptData, "confidence", [&] { Read("0.9", "\"x\""); });
  ExpectError(ErrorCode::kCorruptData, "must be a list", [&] {
    Read("[{\"head\": \"L1.H0\", \"label", "3, \"x\": [{\"head\": \"L1.H0\", \"label");
  });
  ExpectError(ErrorCode::kCorruptData, "propert",
              [&] { Read("[{\"property\"", "\"p\", \"x\": [{\"property\""); });
}

}  // namespace
}  // namespace cliplens
