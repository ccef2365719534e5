// A picture's and a text's numbers, to the byte, whatever stands beside them.
#include "cliplens/model/clip.h"

#include <random>

#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class Independence : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (GetParam() == Precision::kBF16 && !nn::HasBFloat16()) {
      GTEST_SKIP() << "this processor has no bfloat16 products";
    }
    RandomModel{.embed_width = 40, .layers = 2, .width = 96, .heads = 3, .patch = 7, .side = 35}
        .Write(directory_.path());
    model_.emplace(ClipModel::Load(directory_.path(), GetParam()));
  }

  std::vector<Array<float, 3>> Pictures(Index count) const {
    std::mt19937_64 random(3);
    std::normal_distribution<float> normal;
    std::vector<Array<float, 3>> pictures;
    for (Index i = 0; i < count; ++i) {
      pictures.emplace_back(Shape<3>{3, 35, 35});
      for (float& v : pictures.back().flat()) v = normal(random);
    }
    return pictures;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
};

struct Result {
  Array<float, 2> rows;
  std::vector<Captures> captures;
};

Result Embed(const ClipModel& model, std::span<const Array<float, 3>> pictures, int threads) {
  const auto count = static_cast<Index>(pictures.size());
  Result result{Array<float, 2>({count, model.config().embed_width}),
                std::vector<Captures>(pictures.size())};
  Workspace workspace(threads);
  model.EmbedImages(pictures, result.rows, workspace, TokenCaptures(), result.captures);
  return result;
}

void ExpectSame(std::span<const float> a, std::span<const float> b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(a[i], b[i]) << what << " " << i;
}

TEST_P(Independence, OfAPictureFromItsNeighboursAndThreads) {
  const std::vector<Array<float, 3>> pictures = Pictures(11);
  const Result together = Embed(*model_, pictures, 1);
  for (int threads : {1, 2, 5}) {
    for (std::size_t i : {std::size_t{0}, std::size_t{4}, std::size_t{10}}) {
      const Result alone = Embed(*model_, {&pictures[i], 1}, threads);
      ExpectSame(alone.rows.row(0), together.rows.row(static_cast<Index>(i)), "embedding");
      const Captures& a = alone.captures[0];
      const Captures& b = together.captures[i];
      ExpectSame(a.z.values.flat(), b.z.values.flat(), "z");
      ExpectSame(a.z_self.values.flat(), b.z_self.values.flat(), "z_self");
      ExpectSame(a.parts.flat(), b.parts.flat(), "parts");
      ExpectSame(a.pattern.values.flat(), b.pattern.values.flat(), "pattern");
      ExpectSame(a.value.values.flat(), b.value.values.flat(), "value");
      EXPECT_EQ(a.scale.mean, b.scale.mean);
      EXPECT_EQ(a.scale.sigma, b.scale.sigma);
      EXPECT_EQ(a.scale.norm, b.scale.norm);
    }
  }
}

TEST_P(Independence, OfAPictureFromBeingDecomposed) {
  const std::vector<Array<float, 3>> pictures = Pictures(3);
  Array<float, 2> plain({3, 40});
  Workspace workspace;
  model_->EmbedImages(pictures, plain, workspace);
  ExpectSame(plain.flat(), Embed(*model_, pictures, 1).rows.flat(), "embedding");
}

TEST_P(Independence, OfATextFromItsNeighboursAndThreads) {
  const std::vector<std::string> many = {"red", "a b c", "cat!", "12", "", "abcdef"};
  const Array<float, 2> together = model_->EmbedTexts(many, false, 1);
  for (int threads : {1, 3, 8}) {
    ExpectSame(model_->EmbedTexts(many, false, threads).flat(), together.flat(), "texts");
    for (std::size_t i = 0; i < many.size(); ++i) {
      const Array<float, 2> alone = model_->EmbedTexts({&many[i], 1}, false, threads);
      ExpectSame(alone.row(0), together.row(static_cast<Index>(i)), "text");
    }
  }
}

TEST_P(Independence, PassesCoverEveryPictureOnce) {
  for (int threads : {1, 2, 7}) {
    Passes passes(*model_, threads);
    for (Index count : {1, 2, 5, 40}) {
      std::vector<std::atomic<int>> seen(ToSize(count));
      passes.ForImages(count, [&](Index begin, Index end, Workspace&) {
        EXPECT_LE(end - begin, model_->images_a_pass());
        for (Index i = begin; i < end; ++i) ++At(seen, i);
      });
      for (const auto& n : seen) EXPECT_EQ(n, 1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Independence,
                         testing::Values(Precision::kF32, Precision::kBF16),
                         [](const auto& tested) {
                           return tested.param == Precision::kF32 ? "fp32" : "bf16";
                         });

}  // namespace
}  // namespace cliplens
