#include "cliplens/analysis/head_match.h"

#include <map>
#include <set>
#include <string>

#include "tests/analysis/labelled_store.h"
#include "tests/analysis/plain_cka.h"
#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/factor_sink.h"

namespace cliplens {
namespace {

class HeadMatchTest : public LabelledStore {
 protected:
  HeadMatchTest() : a_(Decomposed("pictures", "a", 7)) {}

  // Of a model with other random weights and sizes, on the same pictures and some more.
  Store Other() const {
    RandomModel{.embed_width = 9, .layers = 2, .width = 12, .heads = 3, .seed = 2}.Write(
        path("other-model"));
    std::filesystem::create_directory(path("more"));
    for (const auto& entry : std::filesystem::directory_iterator(path("pictures"))) {
      std::filesystem::copy_file(entry.path(), path("more") / entry.path().filename());
    }
    for (int i = 0; i < 3; ++i) {
      directory_.Write("more/0-extra-" + std::to_string(i) + ".png", Png());
    }
    DecomposeOptions options;
    options.out = path("b");
    options.shard_images = 5;
    Decompose(ClipModel::Load(path("other-model")), *OpenImageSet(path("more")), options);
    return Store::Open(path("b"));
  }
  static std::string Png() {
    const std::vector<std::uint8_t> png = EncodePng(RandomPicture(1, 24, 27));
    return {png.begin(), png.end()};
  }

  Store a_;
};

TEST_F(HeadMatchTest, EqualsTheDefinitionOnContributions) {
  const Store b = Other();
  std::map<std::string, Index> in_b;
  for (const Item& item : b.ReadItems()) {
    in_b.emplace(item.path, static_cast<Index>(in_b.size()));
  }
  const Contributions of_a(a_), of_b(b);
  const HeadMatch match = MatchHeads(a_, b, {.threads = 2});
  EXPECT_EQ(match.common, kImages);
  EXPECT_EQ(match.images, kImages);
  ASSERT_EQ(match.heads_a.size(), 6u);
  ASSERT_EQ(match.heads_b.size(), 6u);
  EXPECT_EQ(match.heads_b[4], (HeadId{1, 1}));
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      Matrix y(kImages, of_b.heads[j].cols());
      Index row = 0;
      for (const Item& item : a_.ReadItems()) {
        y.row(row++) = of_b.heads[j].row(in_b.at(item.path));
      }
      EXPECT_NEAR(match.similarity(static_cast<Index>(i), static_cast<Index>(j)),
                  PlainCka(of_a.heads[i], y), 1e-5);
    }
  }
  // One to one, best first.
  ASSERT_EQ(match.matches.size(), 6u);
  EXPECT_EQ(match.matches[0].similarity->value, match.similarity.maxCoeff());
  std::set<HeadId> seen_a, seen_b;
  for (std::size_t i = 0; i < 6; ++i) {
    const HeadPair& pair = match.matches[i];
    EXPECT_TRUE(seen_a.insert(pair.a).second && seen_b.insert(pair.b).second);
    ASSERT_TRUE(pair.similarity);
    EXPECT_EQ(pair.similarity->value,
              match.similarity(pair.a.layer * 2 + pair.a.head, pair.b.layer * 3 + pair.b.head));
    EXPECT_LE(pair.similarity->value, match.matches[i > 0 ? i - 1 : 0].similarity->value);
    EXPECT_LT(pair.similarity->low, pair.similarity->value);
    EXPECT_GT(pair.similarity->high, pair.similarity->value);
  }

  const HeadMatch swapped = MatchHeads(b, a_, {.threads = 1});
  EXPECT_EQ(swapped.similarity, match.similarity.transpose());
  const HeadMatch some = MatchHeads(a_, b, {.most_images = 7, .threads = 2});
  EXPECT_EQ(some.images, 7);  // every third of 20
  EXPECT_EQ(MatchHeads(b, a_, {.most_images = 7}).similarity, some.similarity.transpose());
  EXPECT_NE(some.similarity, match.similarity);
  EXPECT_EQ(MatchHeads(a_, b, {.most_images = 7, .threads = 1}).chance, some.chance);
}

TEST_F(HeadMatchTest, EachHeadMatchesItself) {
  const HeadMatch match = MatchHeads(a_, a_, {.threads = 2});
  for (Index i = 0; i < 6; ++i) EXPECT_NEAR(match.similarity(i, i), 1, 1e-12);
  ASSERT_EQ(match.matches.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) {  // all as similar: in the order of the heads
    EXPECT_EQ(match.matches[i].a, match.heads_a[i]);
    EXPECT_EQ(match.matches[i].b, match.heads_a[i]);
  }
}

// More pictures than rows of a Gram matrix that are made at once.
TEST_F(HeadMatchTest, TurnedAndScaledHeadsAreTheSame) {
  const Store planted = PlantedStore{.images = 300}.Write(path("planted"));
  Basis basis = planted.basis();
  const Matrix turn = OrthonormalColumns(Matrix::Random(8, 8));
  for (Index h = 0; h < PlantedStore::kHeads; ++h) {
    auto head = AsEigen(basis.heads.view()[0][h]);
    head = (1e-3 * head.cast<double>() * turn).cast<float>();
  }
  FactorSink sink(path("turned"), basis, planted.info());
  sink.Add({.block = planted.ReadShard(0), .items = planted.ReadItems()}, 1);
  sink.Finish();

  const HeadMatch match = MatchHeads(planted, Store::Open(path("turned")), {.threads = 2});
  EXPECT_EQ(match.images, 300);
  const HeadMatch own = MatchHeads(planted, planted, {.threads = 1});
  for (Index i = 0; i < 5; ++i) {
    EXPECT_NEAR(match.similarity(i, i), i == 4 ? 0 : 1, 1e-6);
    for (Index j = 0; j < 5; ++j) EXPECT_NEAR(match.similarity(i, j), own.similarity(i, j), 1e-6);
  }
  // Colour and shape have nothing to do with each other; the third head tells of both.
  EXPECT_LT(own.similarity(0, 1), 0.05);
  EXPECT_GT(own.similarity(0, 2), 0.3);
  // The head without variance is left to its like.
  EXPECT_EQ(own.matches.back().a, (HeadId{0, 4}));
  EXPECT_FALSE(own.matches.back().similarity);
  EXPECT_EQ(own.directions_a.back(), 0);
  // Four values span three directions, two such traits six.
  EXPECT_NEAR(own.directions_a[0], 3, 0.3);
  EXPECT_NEAR(own.directions_a[2], 6, 0.5);
}

// Pictures of the same names that have nothing to do with each other: the plain figure takes 27 of
// them for likeness, and the best of all pairs is far from 0 by chance.
TEST_F(HeadMatchTest, UnrelatedHeadsAreNotAboveChance) {
  int above = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    const Store x =
        PlantedStore{.images = 27, .seed = seed}.Write(path("x" + std::to_string(seed)));
    const Store y =
        PlantedStore{.images = 27, .seed = seed + 50}.Write(path("y" + std::to_string(seed)));
    const HeadMatch match = MatchHeads(x, y, {});
    EXPECT_LT(std::abs(match.similarity.topLeftCorner(4, 4).mean()), 0.12);
    EXPECT_GT(match.chance, 0.1);
    EXPECT_LT(match.chance, 0.6);
    above += match.similarity.maxCoeff() > match.chance ? 1 : 0;
    for (const HeadPair& pair : match.matches) {
      EXPECT_LT(pair.similarity.value_or(Estimate{}).low, 0.1);
    }
    const HeadMatch related = MatchHeads(x, x, {});
    EXPECT_GT(related.matches[3].similarity->low, related.chance);
    EXPECT_EQ(MatchHeads(x, y, {.permutations = 0}).chance, -1);
  }
  EXPECT_LE(above, 2);
}

TEST_F(HeadMatchTest, WhatHasNothingInCommonIsRefused) {
  std::filesystem::create_directory(path("few"));
  int left = 4;
  for (const auto& entry : std::filesystem::directory_iterator(path("pictures"))) {
    if (left-- == 0) break;
    std::filesystem::copy_file(entry.path(), path("few") / entry.path().filename());
  }
  const Store few = Decomposed("few", "few-store");
  ExpectError(ErrorCode::kInvalidArgument, "few-store have 4 pictures of the same path",
              [&] { MatchHeads(a_, few, {}); });
  ExpectError(ErrorCode::kInvalidArgument, "both models", [&] { MatchHeads(few, a_, {}); });
  ExpectError(ErrorCode::kInvalidArgument, "4 pictures; 5",
              [&] { MatchHeads(a_, a_, {.most_images = 4}); });
  const Store without = Decomposed("pictures", "without", 7, /*stats_only=*/true);
  ExpectError(ErrorCode::kPrecondition, "without", [&] { MatchHeads(a_, without, {}); });
}

}  // namespace
}  // namespace cliplens
