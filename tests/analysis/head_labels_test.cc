#include "cliplens/analysis/head_labels.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/label_scores.h"

namespace cliplens {
namespace {

TextPool PoolOf(const std::vector<std::pair<std::string, std::string>>& lines) {
  TextPool pool;
  pool.name = "table.txt";
  for (const auto& [text, property] : lines) {
    pool.texts.push_back(text);
    pool.properties.push_back(property.empty() ? std::nullopt : std::optional(property));
  }
  return pool;
}

TextPool PlantedPool() {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const char* property : {"colour", "shape"}) {
    for (int v = 0; v < 4; ++v) lines.emplace_back(property + std::to_string(v), property);
  }
  return PoolOf(lines);
}

LabelOptions Threads(int threads) {
  LabelOptions options;
  options.threads = threads;
  return options;
}

LabelOptions Pictures(Index most) {
  LabelOptions options;
  options.most_images = most;
  return options;
}

std::vector<HeadLabel> Labels(const Store& store, const LabelOptions& options = {}) {
  std::vector<HeadId> heads;
  for (int h = 0; h < 5; ++h) heads.push_back({0, h});
  return LabelHeads(store, heads, PropertiesOf(PlantedPool()), PlantedStore::Texts(), options);
}

TEST(HeadLabels, PlantedHeadsAreNamed) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{}.Write(directory.path() / "store");
  const std::vector<HeadLabel> labels = Labels(store);
  ASSERT_EQ(labels.size(), 5u);
  for (const Index p : {0, 1}) {
    const HeadLabel& head = At(labels, p);
    EXPECT_EQ(head.label, p);
    EXPECT_EQ(head.rival, 1 - p);
    EXPECT_EQ(head.second, -1);
    EXPECT_EQ(head.stability, 1);
    // Noise of variance .1²/3 in each of 8 directions; the values' own variance is 3/4.
    EXPECT_NEAR(head.coverage, 0.75 / (0.75 + 8 * 0.01 / 3), 0.005);
    EXPECT_EQ(head.guess, p);
    EXPECT_GT(head.confidence, 0.5);  // the texts fill the embedding: they cannot stand out much
    const PropertyShare& other = At(head.properties, 1 - p);
    EXPECT_NEAR(other.share.value, 0, 0.02);
    EXPECT_LE(At(head.properties, p).share.low, head.coverage);
    ASSERT_EQ(head.texts.size(), 4u);  // the values of the property, and no others
    for (const LabelEvidence& text : head.texts) EXPECT_EQ(text.index / 4, p);
    EXPECT_EQ(head.pictures.size(), 8u);
  }
}

TEST(HeadLabels, AHeadOfTwoPropertiesNamesBoth) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{}.Write(directory.path() / "store");
  const HeadLabel both = Labels(store)[2];
  ASSERT_NE(both.guess, -1);
  EXPECT_EQ(both.second, 1 - both.guess);
  EXPECT_EQ(both.second, both.rival);
  EXPECT_NEAR(both.properties[0].share.value, 0.5, 0.05);
  EXPECT_NEAR(both.properties[1].share.value, 0.5, 0.05);
  EXPECT_NEAR(both.properties[0].beyond, 0.5, 0.05);
  EXPECT_LT(both.confidence, Labels(store)[0].confidence);
}

// 16 words more, each near a colour and a shape: what their answers explain of a head is what
// colour and shape explain, though they describe the pictures worse.
TEST(HeadLabels, WhatTwoPropertiesExplainBelongsToTheOneOfBetterEvidence) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{.images = 1000}.Write(directory.path() / "store");
  TextPool pool = PlantedPool();
  Array<float, 2> texts({8 + 16, 8});
  const Array<float, 2> planted = PlantedStore::Texts();
  for (Index t = 0; t < 8; ++t) std::ranges::copy(planted.row(t), texts.row(t).data());
  std::mt19937_64 engine(3);
  for (Index t = 0; t < 16; ++t) {
    pool.texts.push_back("word" + std::to_string(t));
    pool.properties.emplace_back("word");
    const auto row = texts.row(8 + t);
    for (float& x : row) x = static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1);
    row[t / 4] += 1;
    row[4 + t % 4] += 1;
    const float length = AsEigen(texts.view()).row(8 + t).norm();
    for (float& x : row) x /= length;
  }
  const HeadLabel both = LabelHeads(store, {{0, 2}}, PropertiesOf(pool), texts, {})[0];
  const PropertyShare& colour = both.properties[0];
  const PropertyShare& word = both.properties[2];
  EXPECT_GT(word.share.value, colour.share.value + 0.1);
  EXPECT_GT(word.net + word.shared, colour.net + 0.05);  // ahead, but for the overlap
  EXPECT_LT(both.guess, 2);
  EXPECT_NEAR(word.shared, 0.5, 0.1);
  EXPECT_LT(word.net, colour.net);
  EXPECT_EQ(colour.shared, 0);
  EXPECT_EQ(both.figures.net, At(both.properties, both.guess).net);
}

TEST(HeadLabels, NoiseGetsAGuessAndNoLabel) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const TemporaryDirectory directory;
    const Store store = PlantedStore{.images = 200, .seed = seed}.Write(directory.path() / "store");
    const HeadLabel noise = Labels(store)[3];
    EXPECT_GE(noise.guess, 0);
    EXPECT_EQ(noise.label, -1) << seed << ": " << noise.confidence;
    EXPECT_LT(noise.confidence, 0.5);
    EXPECT_FALSE(noise.texts.empty());
  }
}

TEST(HeadLabels, AHeadThatDoesNotVaryGetsNone) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{}.Write(directory.path() / "store");
  const HeadLabel still = Labels(store)[4];
  EXPECT_EQ(still.label, -1);
  EXPECT_EQ(still.guess, -1);
  EXPECT_EQ(still.confidence, 0);
  EXPECT_EQ(still.rival, -1);
  EXPECT_EQ(still.properties.size(), 2u);
  EXPECT_EQ(still.properties[0].share.value, 0);
}

TEST(HeadLabels, OneAndTwoPicturesGiveNone) {
  for (const Index images : {1, 2}) {
    const TemporaryDirectory directory;
    const Store store = PlantedStore{.images = images}.Write(directory.path() / "store");
    for (const HeadLabel& head : Labels(store)) EXPECT_EQ(head.label, -1) << images;
  }
}

TEST(HeadLabels, AreTheSameForAnyNumberOfThreads) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{.noise = 2}.Write(directory.path() / "store");
  const std::vector<HeadLabel> one = Labels(store, Threads(1));
  for (const int threads : {2, 3}) {
    const std::vector<HeadLabel> some = Labels(store, Threads(threads));
    for (std::size_t h = 0; h < one.size(); ++h) {
      EXPECT_EQ(one[h].label, some[h].label);
      EXPECT_EQ(one[h].confidence, some[h].confidence);
      EXPECT_EQ(one[h].stability, some[h].stability);
      for (std::size_t p = 0; p < 2; ++p) {
        EXPECT_EQ(one[h].properties[p].share.value, some[h].properties[p].share.value);
        EXPECT_EQ(one[h].properties[p].share.low, some[h].properties[p].share.low);
        EXPECT_EQ(one[h].properties[p].chance, some[h].properties[p].chance);
        EXPECT_EQ(one[h].properties[p].beyond, some[h].properties[p].beyond);
      }
    }
  }
}

TEST(HeadLabels, OfManyPicturesEveryNthIsUsed) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{.images = 300}.Write(directory.path() / "store");
  const HeadLabel head = Labels(store, Pictures(100))[0];
  EXPECT_EQ(head.label, 0);
  for (const LabelEvidence& picture : head.pictures) EXPECT_EQ(picture.index % 3, 0);
  ExpectError(ErrorCode::kInvalidArgument, "at most 0 pictures",
              [&] { Labels(store, Pictures(0)); });
}

TEST(HeadLabels, TextsMustFitTheStoreAndTheTable) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{.images = 20}.Write(directory.path() / "store");
  const PropertyTable table = PropertiesOf(PlantedPool());
  ExpectError(ErrorCode::kInvalidArgument, "texts of width 7, an embedding of 8", [&] {
    LabelHeads(store, {{0, 0}}, table, Array<float, 2>({8, 7}), {});
  });
  ExpectError(ErrorCode::kInvalidArgument, "1 property; at least two", [&] {
    LabelHeads(store, {{0, 0}}, {.names = {"colour"}, .texts = {{0, 1}}}, PlantedStore::Texts(),
               {});
  });
  ExpectError(ErrorCode::kInvalidArgument, "more texts than the 3 given", [&] {
    LabelHeads(store, {{0, 0}}, table, Array<float, 2>({3, 8}), {});
  });
}

TEST(PropertyTable, PropertiesStandInOrderOfAppearance) {
  const PropertyTable table = PropertiesOf(
      PoolOf({{"red", "colour"}, {"dog", "animal"}, {"blue", "colour"}, {"cat", "animal"}}));
  EXPECT_EQ(table.names, (std::vector<std::string>{"colour", "animal"}));
  EXPECT_EQ(table.texts, (std::vector<std::vector<Index>>{{0, 2}, {1, 3}}));
}

TEST(PropertyTable, FaultsAreNamed) {
  ExpectError(ErrorCode::kInvalidArgument, "table.txt: text 2 has no property", [] {
    PropertiesOf(PoolOf({{"red", "colour"}, {"dog", ""}}));
  });
  ExpectError(ErrorCode::kInvalidArgument, "property 'animal' has one text", [] {
    PropertiesOf(PoolOf({{"red", "colour"}, {"blue", "colour"}, {"dog", "animal"}}));
  });
  ExpectError(ErrorCode::kInvalidArgument, "1 property; at least two", [] {
    PropertiesOf(PoolOf({{"red", "colour"}, {"blue", "colour"}}));
  });
}

HeadLabel Labelled(Index label) {
  HeadLabel head;
  head.label = label;
  return head;
}

TextSpanResult Span(const std::vector<Index>& texts) {
  TextSpanResult span;
  for (const Index index : texts) span.texts.emplace_back().index = index;
  return span;
}

TEST(LabelScores, TheHandExample) {
  // Labels a, a, b, none; texts 0–4 are of a, 5–9 of b.
  std::vector<std::pair<std::string, std::string>> lines;
  for (int t = 0; t < 10; ++t) lines.emplace_back("t" + std::to_string(t), t < 5 ? "a" : "b");
  const TextPool pool = PoolOf(lines);
  const PropertyTable table = PropertiesOf(pool);
  const LabelScores s = ScoreLabels(
      {Labelled(0), Labelled(0), Labelled(1), Labelled(-1)}, table,
      {Span({0, 1, 2, 5, 6}), Span({0, 1, 5, 6, 7}), Span({5, 6, 7, 8, 9}), Span({0, 1, 2, 3, 4})},
      pool);
  EXPECT_EQ(s.heads, 4);
  EXPECT_EQ(s.labelled, 3);
  EXPECT_EQ(s.properties, 2);
  EXPECT_DOUBLE_EQ(s.entanglement, 1.5);
  EXPECT_DOUBLE_EQ(s.entanglement_by_heads, 0.375);
  // At least three of five: the first and the third; the head without a label never.
  EXPECT_EQ(s.association, (std::vector<double>{1, 0.75, 0.75, 0.5, 0.25, 0.25}));
  EXPECT_EQ(s.consistency, (std::vector<double>{0.25, 0, 0.25, 0.25, 0, 0.25}));
  EXPECT_EQ(s.repetition, 0);  // one head is fully consistent, none shares its label
}

TEST(LabelScores, OfHeadsWithoutLabelsAreZero) {
  const TextPool pool = PlantedPool();
  const LabelScores s = ScoreLabels({Labelled(-1)}, PropertiesOf(pool), {Span({})}, pool);
  EXPECT_EQ(s.entanglement, 0);
  EXPECT_EQ(s.repetition, 0);
  ExpectError(ErrorCode::kInvalidArgument, "1 labels, texts of 0 heads",
              [&] { ScoreLabels({Labelled(0)}, PropertiesOf(pool), {}, pool); });
}

}  // namespace
}  // namespace cliplens
