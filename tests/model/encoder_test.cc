// What a pass captures, held against the definition on random weights, and that it keeps no more
// than it was asked for.
#include "cliplens/model/encoder.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/model/clip.h"

namespace cliplens {
namespace {

constexpr double kTolerance = 2e-5;

class EncoderTest : public testing::Test {
 protected:
  EncoderTest() {
    RandomModel{}.Write(directory_.path());
    model_.emplace(ClipModel::Load(directory_.path()));
    std::mt19937_64 random(5);
    std::normal_distribution<float> normal;
    for (int i = 0; i < 2; ++i) {
      pixels_.emplace_back(Shape<3>{3, 21, 21});
      for (float& v : pixels_.back().flat()) v = normal(random);
    }
  }

  // The captures of both pictures, from one pass.
  std::vector<Captures> Encode(const CaptureRequest& request) {
    std::vector<Captures> captures(pixels_.size());
    rows_ = Array<float, 2>({2, model_->config().embed_width});
    Workspace workspace;
    model_->EmbedImages(pixels_, rows_, workspace, request, captures);
    return captures;
  }

  const Tensor& Get(const std::string& name) const {
    return model_->tensors().at("vision." + name);
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::vector<Array<float, 3>> pixels_;
  Array<float, 2> rows_;
};

TEST_F(EncoderTest, KeepsNothingThatIsNotAskedFor) {
  (void)Encode({});
  const Array<float, 2> plain = rows_;
  const std::vector<Captures> captures = Encode({.pattern = {1, 2}});
  EXPECT_TRUE(std::ranges::equal(plain.flat(), rows_.flat()));
  for (const Captures& c : captures) {
    EXPECT_EQ(c.pattern.layers, (LayerRange{1, 2}));
    EXPECT_EQ(c.pattern.shape(), (Shape<3>{1, 2, 10}));
    EXPECT_TRUE(c.z.empty() && c.z_self.empty() && c.parts.empty() && c.value.empty());
    EXPECT_TRUE(c.z_rows.empty() && c.norm1.empty() && c.norm2.empty() && c.hidden.empty());
    EXPECT_TRUE(c.attention.empty() && c.last.empty());
  }
  // A range beyond the encoder's layers is cut, and one request leaves nothing to the next.
  std::vector<Captures> reused = captures;
  Workspace workspace;
  model_->EmbedImages(pixels_, rows_, workspace, {.z = {2, 99}}, reused);
  EXPECT_TRUE(reused[0].pattern.empty());
  EXPECT_EQ(reused[0].z.layers, (LayerRange{2, 3}));
}

TEST_F(EncoderTest, HeadsAreTheirPatternsTimesTheirValues) {
  CaptureRequest request = TokenCaptures();
  request.z_rows = kAllLayers;
  for (const Captures& c : Encode(request)) {
    for (Index l = 0; l < 3; ++l) {
      for (Index d = 0; d < 12; ++d) {
        double sum = 0;
        for (Index i = 0; i < 10; ++i) sum += double{c.pattern[l](d / 6, i)} * c.value[l](i, d);
        EXPECT_NEAR(c.z[l](d / 6, d % 6), sum, kTolerance);
        EXPECT_NEAR(c.z_rows[l](0, d), sum, kTolerance);
        EXPECT_NEAR(c.z_self[l](d / 6, d % 6), c.pattern[l](d / 6, 0) * c.value[l](0, d),
                    kTolerance);
      }
    }
  }
}

// The pooled row is rebuilt from what heads and MLPs added to it; its moments are the captured
// ones.
TEST_F(EncoderTest, NormsAndHiddenRowsAreThoseOfTheResidual) {
  CaptureRequest request = FactorCaptures();
  request.norm1 = request.norm2 = request.hidden = kAllLayers;
  request.last = true;
  for (const Captures& c : Encode(request)) {
    std::vector<double> x(c.parts.row(0).begin(), c.parts.row(0).end());
    const auto expect_moments = [&](Index l, const PerLayer<3>& norms) {
      double mean = 0;
      double variance = 0;
      for (const double v : x) mean += v / 12;
      for (const double v : x) variance += (v - mean) * (v - mean) / 12;
      EXPECT_NEAR(norms[l](0, 0), mean, kTolerance);
      EXPECT_NEAR(norms[l](0, 1), std::sqrt(variance + 1e-5), kTolerance);
    };
    for (Index l = 0; l < 3; ++l) {
      expect_moments(l, c.norm1);
      const std::string block = "block." + std::to_string(l);
      const std::vector<float>& out = Get(block + ".attn.out.weight").values;
      for (Index d = 0; d < 12; ++d) {
        double add = At(Get(block + ".attn.out.bias").values, d);
        for (Index k = 0; k < 12; ++k) add += double{At(out, d * 12 + k)} * c.z[l](k / 6, k % 6);
        At(x, d) += add;
      }
      expect_moments(l, c.norm2);
      // The MLP's output is its hidden row through the matrix that the tower gives back.
      const Array<float, 2> matrix = model_->image_tower().Weight(l, Tower::Matrix::kMlpOut);
      ASSERT_EQ(matrix.shape(), (Shape<2>{12, 30}));
      for (Index d = 0; d < 12; ++d) {
        double add = At(Get(block + ".mlp.out.bias").values, d);
        for (Index f = 0; f < 30; ++f) add += double{matrix(d, f)} * c.hidden[l](0, f);
        EXPECT_NEAR(c.parts(l + 1, d), add, kTolerance);
        At(x, d) += c.parts(l + 1, d);
      }
    }
    for (Index d = 0; d < 12; ++d) EXPECT_NEAR(c.last(0, d), At(x, d), kTolerance);
  }
}

// The class token's row lies at a thousand and varies by a third: the mean of squares less the
// square of the mean would lose its moments in fp32.
TEST(EncoderMoments, AreOfTwoPasses) {
  TemporaryDirectory directory;
  const RandomModel shape{.ln_pre = false};
  shape.Write(directory.path());
  std::vector<RandomModel::Held> held = shape.Weights();
  const auto find = [&](const char* name) -> std::vector<float>& {
    return std::ranges::find(held, name, &RandomModel::Held::ours)->values;
  };
  for (float& v : find("vision.class")) v += 1000;
  RandomModel::WriteTensors(directory.path() / "open_clip_model.safetensors", held);
  const ClipModel model = ClipModel::Load(directory.path());
  const Array<float, 3> pixels({3, 21, 21}, 0.5f);
  Array<float, 2> rows({1, model.config().embed_width});
  Captures captures;
  Workspace workspace;
  model.EmbedImages({&pixels, 1}, rows, workspace, {.norm1 = kAllLayers}, {&captures, 1});
  std::vector<double> x;
  for (std::size_t d = 0; d < 12; ++d) {
    x.push_back(find("vision.class")[d] + find("vision.position")[d]);
  }
  double mean = 0;
  double variance = 0;
  for (const double v : x) mean += v / 12;
  for (const double v : x) variance += (v - mean) * (v - mean) / 12;
  EXPECT_NEAR(captures.norm1[0](0, 0), mean, 1e-3);
  EXPECT_NEAR(captures.norm1[0](0, 1) / std::sqrt(variance + 1e-5), 1, 1e-3);
}

// What stands before LayerNorm 1 is known of every token without computing the last block for all.
TEST_F(EncoderTest, Norm1OfTheLastBlockDoesNotNeedAllItsRows) {
  EXPECT_FALSE(CaptureRequest{.norm1 = kAllLayers}.NeedsAllRows(3));
  const std::vector<Captures> few = Encode({.norm1 = {2, 3}});
  const std::vector<Captures> all = Encode({.norm1 = kAllLayers, .norm2 = kAllLayers});
  for (std::size_t g = 0; g < few.size(); ++g) {
    EXPECT_TRUE(std::ranges::equal(few[g].norm1[2].flat(), all[g].norm1[2].flat()));
  }
}

TEST_F(EncoderTest, GivesItsMatricesBackAsTheyWereLoaded) {
  const Checkpoint loaded = LoadCheckpoint(directory_.path());
  (void)Encode({});  // packs them
  for (Index l = 0; l < 3; ++l) {
    const std::string block = "vision.block." + std::to_string(l);
    const auto expect = [&](Tower::Matrix matrix, const std::string& name, std::size_t skip) {
      const std::vector<float>& values = loaded.tensors.at(block + name).values;
      const Array<float, 2> given = model_->image_tower().Weight(l, matrix);
      ASSERT_EQ(given.flat().size(), values.size() - skip) << name;
      EXPECT_TRUE(std::equal(values.begin() + static_cast<std::ptrdiff_t>(skip), values.end(),
                             given.flat().begin()))
          << name << l;
    };
    expect(Tower::Matrix::kValue, ".attn.in.weight", std::size_t{2 * 12 * 12});
    expect(Tower::Matrix::kMlpIn, ".mlp.in.weight", 0);
    expect(Tower::Matrix::kMlpOut, ".mlp.out.weight", 0);
    const std::span<const float> gain = model_->image_tower().NormGain(l, 1);
    EXPECT_TRUE(std::ranges::equal(gain, loaded.tensors.at(block + ".ln2.gain").values));
  }
}

}  // namespace
}  // namespace cliplens
