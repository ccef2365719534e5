#include "cliplens/model/nn/product.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace cliplens::nn {
namespace {

Matrix RandomMatrix(Index rows, Index columns, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Matrix a(rows, columns);
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < columns; ++k) a(i, k) = normal(engine);
  }
  return a;
}

// The contract: one fused multiply-add after the other, in the order of the inner index.
Matrix Plain(const Matrix& a, const Matrix& b, Matrix c) {
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < b.cols(); ++j) {
      for (Index k = 0; k < a.cols(); ++k) c(i, j) = std::fma(a(i, k), b(k, j), c(i, j));
    }
  }
  return c;
}

TEST(Product, HasTheBitsOfPlainFusedSumsInEveryShape) {
  const Index shapes[][3] = {{1, 1, 1},    {1, 7, 3},    {6, 24, 8},   {8, 24, 5}, {9, 25, 193},
                             {67, 67, 40}, {5, 400, 11}, {130, 1, 50}, {3, 2, 0},  {17, 385, 400}};
  for (const auto& [m, n, k] : shapes) {
    const Matrix a = RandomMatrix(m, k, 1), b = RandomMatrix(k, n, 2),
                 start = RandomMatrix(m, n, 3);
    Matrix c = start;
    AddProduct(Of(a), Of(b), c);
    EXPECT_EQ(c, Plain(a, b, start)) << m << " x " << n << " x " << k;
  }
}

TEST(Product, ReadsTransposedPartsAndFloats) {
  const Matrix a = RandomMatrix(20, 9, 4), b = RandomMatrix(20, 31, 5);
  EXPECT_EQ(Product(Of(a).Transposed(), Of(b)), Plain(a.transpose(), b, Matrix::Zero(9, 31)));
  EXPECT_EQ(Product(Of(a), Of(a).Transposed()), Plain(a, a.transpose(), Matrix::Zero(20, 20)));
  const Operand<double> part{b.data() + 3, 20, 7, 31, 1};
  EXPECT_EQ(Product(Of(a).Transposed(), part),
            Plain(a.transpose(), b.middleCols(3, 7), Matrix::Zero(9, 7)));
  const MatrixF f = b.cast<float>();
  const ArrayView<const float, 2> floats(f.data(), {20, 31});
  const Matrix exact = f.cast<double>();
  EXPECT_EQ(Product(Of(a).Transposed(), Of(floats)),
            Plain(a.transpose(), exact, Matrix::Zero(9, 31)));
  // One row has a way of its own.
  for (const Index row : {0, 8}) {
    const Operand<double> one{a.data() + row, 1, 20, 9, 9};
    EXPECT_EQ(Product(one, Of(floats)), Plain(a.col(row).transpose(), exact, Matrix::Zero(1, 31)));
  }
  const Operand<double> along{a.data(), 1, 9, 9, 1};
  const Operand<float> columns{f.data() + 2, 9, 20, 1, 31};
  EXPECT_EQ(Product(along, columns),
            Plain(a.row(0), exact.middleCols(2, 9).transpose(), Matrix::Zero(1, 20)));
  EXPECT_EQ(Product(Of(floats).Transposed(), Of(floats)),
            Plain(exact.transpose(), exact, Matrix::Zero(31, 31)));
}

TEST(Product, UpperFillsTheUpperTriangle) {
  for (const Index n : {1, 8, 30, 100, 500}) {
    const Matrix x = RandomMatrix(37, n, 6);
    const Matrix expected = Plain(x.transpose(), x, Matrix::Zero(n, n));
    Matrix c = Matrix::Zero(n, n);
    AddProduct(Of(x).Transposed(), Of(x), c.data(), n, /*upper=*/true);
    for (Index i = 0; i < n; ++i) {
      for (Index j = i; j < n; ++j) ASSERT_EQ(c(i, j), expected(i, j)) << i << ", " << j;
    }
  }
}

}  // namespace
}  // namespace cliplens::nn
