#include "cliplens/decompose/basis.h"

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/model/clip.h"

namespace cliplens {
namespace {

Matrix RandomMatrix(Index rows, Index cols, unsigned seed) {
  std::srand(seed);
  return Matrix::Random(rows, cols);
}

TEST(HeadCoordinates, InnerProductsEqualThoseOfTheContributions) {
  const Index width = 7;
  const Index embed = 20;
  Array<float, 2> b({width, embed});
  AsEigen(b.view()) = RandomMatrix(width, embed, 1).cast<float>();
  const Matrix basis = AsEigen(b.view()).cast<double>();
  const HeadCoordinates coordinates = CoordinatesOf(b);
  EXPECT_EQ(coordinates.rank(), width);
  const Matrix u = RandomMatrix(4, width, 2);
  const Matrix texts = RandomMatrix(5, embed, 3);
  const Matrix c = u * basis;
  const Matrix y = u * coordinates.from_factor.transpose();
  const Matrix q = texts * coordinates.from_text.transpose();
  EXPECT_LT((y * y.transpose() - c * c.transpose()).cwiseAbs().maxCoeff(), 1e-10);
  EXPECT_LT((y * q.transpose() - c * texts.transpose()).cwiseAbs().maxCoeff(), 1e-10);
}

TEST(HeadCoordinates, DependentRowsLowerTheRank) {
  Array<float, 2> b({5, 12});
  AsEigen(b.view()) = RandomMatrix(5, 12, 4).cast<float>();
  AsEigen(b.view()).row(4) = AsEigen(b.view()).row(0) * 2.0f;
  EXPECT_EQ(CoordinatesOf(b).rank(), 4);
}

TEST(HeadCoordinates, NeverMoreThanTheEmbeddingHas) {
  Array<float, 2> b({9, 4});
  AsEigen(b.view()) = RandomMatrix(9, 4, 5).cast<float>();
  EXPECT_EQ(CoordinatesOf(b).rank(), 4);
}

TEST(Basis, IsReadAsItWasWritten) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path() / "model");
  const ClipModel model = ClipModel::Load(directory.path() / "model");
  const Basis basis = MakeBasis(model.image_readout(), 2);
  EXPECT_EQ(basis.heads.shape(), (Shape<4>{3, 2, 9, 10}));
  WriteBasis(directory.path() / "basis.safetensors", basis);
  const Basis read = ReadBasis(directory.path() / "basis.safetensors");
  EXPECT_TRUE(std::ranges::equal(basis.heads.flat(), read.heads.flat()));
}

}  // namespace
}  // namespace cliplens
