// Matrix products in fp64 whose bits are the same on every processor.
//
//   const Matrix a = Matrix::Identity(3, 3);
//   Matrix c = nn::Product(nn::Of(a), nn::Of(a));                // a a
//   nn::AddProduct(nn::Of(a).Transposed(), nn::Of(a), c);        // c += a^T a
//
// Each element is summed in the order of the inner index with one rounding a term (a fused
// multiply-add), so no bit depends on the width of a processor's vectors or on the matrices' other
// rows and columns. Processors without fused multiply-add give the same numbers, more slowly.
#pragma once

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"

namespace cliplens::nn {

// A matrix [rows, columns] in any strided layout, read as fp64.
template <typename T>
struct Operand {
  const T* data = nullptr;
  Index rows = 0;
  Index columns = 0;
  Index row_stride = 0;
  Index column_stride = 1;
  Operand Transposed() const { return {data, columns, rows, column_stride, row_stride}; }
};
inline Operand<double> Of(const Matrix& a) { return {a.data(), a.rows(), a.cols(), a.cols(), 1}; }
inline Operand<float> Of(ArrayView<const float, 2> a) {
  return {a.data(), a.dim(0), a.dim(1), a.dim(1), 1};
}

// c [m, n] += a [m, k] · b [k, n] on the calling thread; rows of c are `c_stride` apart. With
// `upper` only the upper triangle of c is wanted and the rest is undefined. Shapes must fit.
template <typename A, typename B>
void AddProduct(const Operand<A>& a, const Operand<B>& b, double* c, Index c_stride,
                bool upper = false);
template <typename A, typename B>
void AddProduct(const Operand<A>& a, const Operand<B>& b, Matrix& c) {
  AddProduct(a, b, c.data(), c.cols());
}

template <typename A, typename B>
Matrix Product(const Operand<A>& a, const Operand<B>& b) {
  Matrix c = Matrix::Zero(a.rows, b.columns);
  AddProduct(a, b, c);
  return c;
}

}  // namespace cliplens::nn
