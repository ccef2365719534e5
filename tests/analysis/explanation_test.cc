#include "cliplens/analysis/explanation.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

constexpr double kSum = 1e-5;
constexpr double kDefinition = 2e-6;

class ExplanationTest : public testing::TestWithParam<Index> {
 protected:
  ExplanationTest() {
    RandomModel random;
    random.width = GetParam();
    random.text_width = 12;
    random.Write(directory_.path() / "model");
    model_.emplace(ClipModel::Load(directory_.path() / "model"));
    picture_ = PassOf(*model_, RandomPicture(5, 33, 21), 1);
  }

  double Cosine(const std::vector<float>& direction) const {
    double sum = 0;
    for (std::size_t e = 0; e < direction.size(); ++e) {
      sum += static_cast<double>(picture_.embedding(0, static_cast<Index>(e))) * direction[e];
    }
    return sum;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  TokenPass picture_;
};

TEST_P(ExplanationTest, EverySumIsTheScore) {
  const Statement text = TextStatement(*model_, "red ab", 1);
  const Explanation e = Explain(*model_, picture_, text, 1);
  EXPECT_NEAR(e.score, Cosine(text.direction), 1e-12);
  EXPECT_NEAR(e.sum, e.score, kSum);
  EXPECT_NEAR(std::accumulate(e.components.begin(), e.components.end(), 0.0), e.score, kSum);
  EXPECT_EQ(e.components.size(), 3u * 2 + 4);
  ASSERT_EQ(e.parts.size(), 6u);  // start, red, ab, end, INPUT, MLPs
  double parts = 0;
  for (Index j = 0; j < 6; ++j) parts += e.of_part(j);
  EXPECT_NEAR(parts, e.score, kSum);
  double patches = 0;
  for (Index i = 0; i < 9; ++i) patches += e.of_patch(i);
  const auto total = [](const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0);
  };
  EXPECT_NEAR(patches + total(e.class_token) + total(e.mlps) + total(e.input), e.score, kSum);
}

TEST_P(ExplanationTest, PairsAreProductsOfContributions) {
  const Statement text = TextStatement(*model_, "red ab", 1);
  const Explanation e = Explain(*model_, picture_, text, 1);
  const Array<float, 2> image = TokenContributions(model_->image_readout(), picture_.captures);
  const TokenPass words = PassOf(*model_, "red ab", 1);
  const Array<float, 2> tokens = TokenContributions(model_->text_readout(), words.captures);
  const std::vector<TextWord> spelled = model_->tokenizer().Words(words.tokens);
  const auto dot = [&](Index i, Index j) {
    double sum = 0;
    for (Index k = 0; k < image.dim(1); ++k) sum += double{image(i, k)} * tokens(j, k);
    return sum;
  };
  for (std::size_t w = 0; w < spelled.size(); ++w) {
    for (Index i = 0; i < 9; ++i) {
      double sum = 0;
      for (Index j = spelled[w].begin; j < spelled[w].end; ++j) sum += dot(i + 1, j);
      EXPECT_NEAR(e.patch_part(static_cast<Index>(w), i), sum, kDefinition);
    }
  }
  // The sum over words is the heat map of the text.
  const Array<float, 2> direction({1, image.dim(1)}, text.direction);
  const HeatMap map = HeatMaps(*model_, picture_, direction, {}, 1).front();
  for (Index i = 0; i < 9; ++i) {
    EXPECT_NEAR(e.of_patch(i), map.grid(i / 3, i % 3), kDefinition);
  }
  double cls = 0;
  for (const double v : e.class_to_class) cls += v;
  EXPECT_NEAR(cls, map.rest.pooled_token, kDefinition);
}

TEST_P(ExplanationTest, DifferencesAreSigned) {
  const Statement a = TextStatement(*model_, "red", 1);
  const Statement b = TextStatement(*model_, "a b", 1);
  const Explanation ab = Explain(*model_, picture_, Difference(a, b), 1);
  const Explanation ba = Explain(*model_, picture_, Difference(b, a), 1);
  EXPECT_EQ(ab.score, -ba.score);
  for (std::size_t k = 0; k < ab.components.size(); ++k) {
    EXPECT_EQ(ab.components[k], -ba.components[k]);
  }
  EXPECT_NEAR(ab.sum, ab.score, kSum);
  ASSERT_EQ(ab.parts.size(), a.parts.size() + b.parts.size());
  EXPECT_FALSE(ab.parts.front().against);
  EXPECT_TRUE(ab.parts.back().against);
  // A word's share is the same in both, with its sign turned.
  const auto first_of_b = static_cast<Index>(a.parts.size());
  for (Index i = 0; i < 9; ++i) {
    EXPECT_EQ(ab.patch_part(first_of_b, i), -ba.patch_part(0, i));
  }
  const Statement whole = WholeStatement("class", b.direction);
  const Explanation mixed = Explain(*model_, picture_, Difference(a, whole), 1);
  EXPECT_NEAR(mixed.score, ab.score, 1e-7);
  EXPECT_NEAR(mixed.sum, mixed.score, kSum);
  EXPECT_EQ(mixed.parts.back().kind, TextPartKind::kWhole);
  Statement other = whole;
  other.direction.pop_back();
  ExpectError(ErrorCode::kInvalidArgument, "statements of", [&] { Difference(a, other); });
}

TEST_P(ExplanationTest, ThreadsDecideNothing) {
  const Explanation one = Explain(*model_, picture_, TextStatement(*model_, "red ab", 1), 1);
  const Explanation three = Explain(*model_, PassOf(*model_, RandomPicture(5, 33, 21), 3),
                                    TextStatement(*model_, "red ab", 3), 3);
  EXPECT_EQ(one.components, three.components);
  EXPECT_TRUE(std::ranges::equal(one.patch_part.flat(), three.patch_part.flat()));
  EXPECT_EQ(one.score, three.score);
}

INSTANTIATE_TEST_SUITE_P(HeadWidths, ExplanationTest, testing::Values(12, 44),
                         [](const auto& width) { return "D" + std::to_string(width.param); });

}  // namespace
}  // namespace cliplens
