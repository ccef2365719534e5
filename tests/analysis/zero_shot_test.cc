#include "cliplens/analysis/zero_shot.h"

#include <algorithm>
#include <cmath>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/extremes.h"

namespace cliplens {
namespace {

TEST(MakeClassifier, IsTheUnitMeanOfUnitRows) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  const ClipModel model = ClipModel::Load(directory.path());
  const std::vector<std::string> names = {"red", "cat"};
  const std::vector<std::string> templates = {"a {}", "{}!"};
  const Array<float, 2> classifier = MakeClassifier(model, names, templates, false, 2);
  const std::vector<std::string> filled = {"a cat", "cat!"};
  const Array<float, 2> rows = model.EmbedTexts(filled, false, 1);
  double length = 0;
  std::vector<double> mean;
  for (Index k = 0; k < rows.dim(1); ++k) {
    mean.push_back(static_cast<double>(rows(0, k)) + rows(1, k));
    length += mean.back() * mean.back();
  }
  for (Index k = 0; k < rows.dim(1); ++k) {
    EXPECT_NEAR(classifier(1, k), At(mean, k) / std::sqrt(length), 1e-6);
  }
}

TEST(Classifier, FindsClassesByNameAndHasTheirMean) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  const ClipModel model = ClipModel::Load(directory.path());
  const ClassFile file{.name = "things.txt", .names = {"red", "cat"}, .labels = {"r", "c"}};
  const Classifier classes =
      CachedClassifier(model, file, {"a {}", "{}!"}, {.threads = 2, .directory = {}});
  const Array<float, 2> rows = MakeClassifier(model, file.names, classes.templates, false, 1);
  EXPECT_TRUE(std::ranges::equal(classes.rows.flat(), rows.flat()));
  EXPECT_EQ(classes.Find("cat"), 1);
  ExpectError(ErrorCode::kNotFound, "things.txt: there is no class 'dog'",
              [&] { (void)classes.Find("dog"); });
  EXPECT_EQ(classes.MeanName(), "the mean of 2 classes");
  const Array<float, 2> mean = classes.Mean();
  ASSERT_EQ(mean.shape(), (Shape<2>{1, rows.dim(1)}));
  for (Index e = 0; e < rows.dim(1); ++e) {
    EXPECT_NEAR(mean(0, e), (rows(0, e) + rows(1, e)) / 2, 1e-7);
  }
}

TEST(EmbedWords, RefusesATextWithoutAWord) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  const ClipModel model = ClipModel::Load(directory.path());
  const std::vector<std::string> texts = {"red", "a cat"};
  const Array<float, 2> rows = EmbedWords(model, texts, 2);
  EXPECT_TRUE(std::ranges::equal(rows.flat(), model.EmbedTexts(texts, false, 1).flat()));
  ExpectError(ErrorCode::kInvalidArgument, "text ' ' has no word", [&] {
    EmbedWords(model, {"red", " "}, 1);
  });
}

TEST(TopClasses, BestFirstAndTiesToTheLowerIndex) {
  Array<float, 2> classifier({4, 2}, {0, 1, 1, 0, 1, 0, 0.6f, 0.8f});
  const std::vector<float> embedding = {1, 0};
  const std::vector<ClassScore> top = TopClasses(embedding, classifier, {.scale = 2.0}, 3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].index, 1);
  EXPECT_EQ(top[1].index, 2);
  EXPECT_EQ(top[2].index, 3);
  EXPECT_NEAR(top[2].similarity, 0.6, 1e-6);
  const double sum = 1 + 2 * std::exp(2.0) + std::exp(1.2);
  EXPECT_NEAR(top[0].probability, std::exp(2.0) / sum, 1e-6);
}

// A model with a bias says of each class by itself whether it fits.
TEST(TopClasses, WithABiasEachClassHasItsOwnProbability) {
  Array<float, 2> classifier({2, 2}, {1, 0, 0.6f, 0.8f});
  const std::vector<float> embedding = {1, 0};
  const std::vector<ClassScore> top =
      TopClasses(embedding, classifier, {.scale = 10, .bias = -8.0}, 2);
  EXPECT_NEAR(top[0].probability, 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(top[1].probability, 1 / (1 + std::exp(2.0)), 1e-6);
}

TEST(TopClasses, WidthsMustAgree) {
  Array<float, 2> classifier({1, 2});
  const std::vector<float> embedding = {1, 0, 0};
  ExpectError(ErrorCode::kInvalidArgument, "an embedding of 3",
              [&] { TopClasses(embedding, classifier, {.scale = 1.0}, 1); });
}

TEST(EmbedImages, APictureDoesNotDependOnItsNeighboursOrThreads) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path() / "model");
  WriteRandomPictures(directory.path() / "pictures", 7, 30);
  const ClipModel model = ClipModel::Load(directory.path() / "model");
  const auto set = OpenImageSet(directory.path() / "pictures");
  const Array<float, 2> one = EmbedImages(model, *set, 1);
  const Array<float, 2> three = EmbedImages(model, *set, 3);
  EXPECT_TRUE(std::ranges::equal(one.flat(), three.flat()));
  const auto alone = OpenImageSet(directory.path() / "pictures" / "005.png");
  const Array<float, 2> single = EmbedImages(model, *alone, 2);
  EXPECT_TRUE(std::ranges::equal(single.row(0), one.row(5)));
}

TEST(Extremes, HighestAndLowestAlongADirection) {
  // Factors (z, 1, μ, σ)/(σn) with μ = 0, σ = n = 1.
  Array<float, 2> z({5, 1}, {3, -1, 3, 0, 7});
  Array<float, 2> ln({5, 3});
  for (Index b = 0; b < 5; ++b) {
    ln(b, 1) = 1;
    ln(b, 2) = 1;
  }
  Vector weight = Vector::Zero(4);
  weight[0] = 2;
  const std::vector<Extremes> r =
      ExtremesOf(FactorsOf({.values = 1, .constants = 3}, z, ln), {weight}, 3);
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].highest[0].item, 4);
  EXPECT_EQ(r[0].highest[1].item, 0);  // a tie with item 2
  EXPECT_EQ(r[0].highest[2].item, 2);
  EXPECT_EQ(r[0].lowest[0].item, 1);
  EXPECT_EQ(r[0].lowest[1].item, 3);
  EXPECT_NEAR(r[0].highest[0].score, 2 * (7 - 12.0 / 5), 1e-6);
}

}  // namespace
}  // namespace cliplens
