#include "cliplens/analysis/head_directions.h"

#include <cmath>
#include <span>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/base/index.h"
#include "cliplens/model/clip.h"

namespace cliplens {
namespace {

class HeadDirectionsTest : public testing::Test {
 protected:
  const RandomModel sizes_{.embed_width = 14, .width = 24, .heads = 4, .layer_scale = true};
  const TemporaryDirectory directory_;

  ClipModel Written(const std::vector<RandomModel::Held>& weights) const {
    sizes_.Write(directory_.path());
    RandomModel::WriteTensors(directory_.path() / "open_clip_model.safetensors", weights);
    return ClipModel::Load(directory_.path());
  }
  static std::vector<HeadDirections> DirectionsIn(const ClipModel& model,
                                                  const std::vector<HeadId>& heads,
                                                  Index count = 100, int threads = 1) {
    return DirectionsOfHeads(model.image_tower(), model.image_readout(), heads, count, threads);
  }
};

Vector Double(std::span<const float> values) {
  return Eigen::Map<const Eigen::VectorXf>(values.data(), std::ssize(values)).cast<double>();
}

// The head as a whole matrix [D, E], applied to unit vectors one by one.
Matrix WholePath(const ClipModel& model, HeadId id) {
  const TowerConfig& tower = model.config().vision;
  const Index width = tower.width;
  const Index k = tower.head_width();
  const Matrix centre = Matrix::Identity(width, width) -
                        Matrix::Constant(width, width, 1.0 / static_cast<double>(width));
  const Array<float, 2> value = model.image_tower().Weight(id.layer, Tower::Matrix::kValue);
  const Matrix v = AsEigen(value.view()).cast<double>().middleRows(id.head * k, k);
  const ArrayView<const float, 2> out(model.image_readout().out_weight(id.layer), {width, width});
  const Matrix o = AsEigen(out).cast<double>().middleCols(id.head * k, k);
  const Vector gain1 = Double(model.image_tower().NormGain(id.layer, 0));
  const auto& tensors = model.tensors();
  const Tensor& gain = tensors.at("vision.ln_post.gain");
  const Tensor& projection = tensors.at("vision.projection");
  const Matrix p =
      Eigen::Map<const MatrixF>(projection.values.data(), width, model.config().embed_width)
          .cast<double>();
  return centre * gain1.asDiagonal() * v.transpose() * o.transpose() * centre *
         Double(gain.values).asDiagonal() * p;
}

TEST_F(HeadDirectionsTest, AreTheSingularVectorsOfTheWholePath) {
  const ClipModel model = Written(sizes_.Weights());
  const std::vector<HeadId> heads = {{0, 0}, {1, 3}, {2, 1}};
  const std::vector<HeadDirections> found = DirectionsIn(model, heads);
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const HeadDirections& head = found[i];
    EXPECT_EQ(head.id, heads[i]);
    const Matrix path = WholePath(model, heads[i]);
    const Eigen::JacobiSVD<Eigen::MatrixXd> whole(path);
    ASSERT_EQ(head.values.size(), 6);
    EXPECT_LT((head.values - whole.singularValues().head(6)).norm(), 1e-10 * head.values[0]);
    EXPECT_LT((head.reads.transpose() * head.values.asDiagonal() * head.writes - path).norm(),
              1e-10 * path.norm());
    EXPECT_LT((head.writes * head.writes.transpose() - Matrix::Identity(6, 6)).norm(), 1e-12);
    EXPECT_LT(head.reads.rowwise().sum().norm(), 1e-12);
  }
  EXPECT_EQ(DirectionsIn(model, heads, 2)[1].writes, Matrix(found[1].writes.topRows(2)));
  EXPECT_EQ(DirectionsIn(model, heads, 100, 3)[2].writes, found[2].writes);
  ExpectError(ErrorCode::kInvalidArgument, "L3.H0", [&] { DirectionsIn(model, {{3, 0}}); });
}

// The values' coordinates inside a head are arbitrary: Q W_V and W_O Q^T are the same head.
TEST_F(HeadDirectionsTest, RotatingTheValuesOfAHeadChangesNothing) {
  std::vector<RandomModel::Held> weights = sizes_.Weights();
  const HeadDirections before = DirectionsIn(Written(weights), {{1, 2}})[0];
  Matrix random(6, 6);
  for (Index i = 0; i < 36; ++i) random.data()[i] = std::sin(static_cast<double>(i * i + 1));
  const Matrix q = OrthonormalColumns(random);
  for (RandomModel::Held& tensor : weights) {
    if (tensor.name == "visual.transformer.resblocks.1.attn.in_proj_weight") {
      Eigen::Map<MatrixF> all(tensor.values.data(), 72, 24);
      all.middleRows(48 + 12, 6) = (q * all.middleRows(48 + 12, 6).cast<double>()).cast<float>();
    } else if (tensor.name == "visual.transformer.resblocks.1.attn.out_proj.weight") {
      Eigen::Map<MatrixF> all(tensor.values.data(), 24, 24);
      all.middleCols(12, 6) = (all.middleCols(12, 6).cast<double>() * q.transpose()).cast<float>();
    }
  }
  const HeadDirections after = DirectionsIn(Written(weights), {{1, 2}})[0];
  EXPECT_LT((before.values - after.values).norm(), 1e-5 * before.values[0]);
  EXPECT_LT((before.writes - after.writes).cwiseAbs().maxCoeff(), 1e-4);
  EXPECT_LT((before.reads - after.reads).cwiseAbs().maxCoeff(), 1e-4);
}

TEST_F(HeadDirectionsTest, AHeadThatWritesNothingHasNoDirections) {
  std::vector<RandomModel::Held> weights = sizes_.Weights();
  for (RandomModel::Held& tensor : weights) {
    if (tensor.name == "visual.transformer.resblocks.1.attn.out_proj.weight") {
      std::ranges::fill(tensor.values, 0.0f);
    }
  }
  const HeadDirections head = DirectionsIn(Written(weights), {{1, 2}})[0];
  EXPECT_EQ(head.writes.rows(), 0);
  EXPECT_EQ(EffectiveRank(SharesOf(head.values)), 0);
}

TEST(EffectiveRank, CountsDirectionsOfEqualShare) {
  EXPECT_NEAR(EffectiveRank(SharesOf(Vector::Ones(5))), 5, 1e-12);
  EXPECT_NEAR(EffectiveRank(SharesOf(Vector{{3.0, 0.0}})), 1, 1e-12);
  EXPECT_NEAR(SharesOf(Vector{{2.0, 1.0}})[0], 0.8, 1e-12);
}

}  // namespace
}  // namespace cliplens
