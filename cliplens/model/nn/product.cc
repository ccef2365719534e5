#include "cliplens/model/nn/product.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <type_traits>

#include "cliplens/base/buffer.h"

// Arrays of vectors need vectors of a fixed size.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cliplens/model/nn/product.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// The target-specific code below is compiled once for each instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cliplens::nn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<double>;

// A tile of c stays in registers: kRows x kVectors of them.
constexpr bool kWide = hn::MaxLanes(D()) >= 8;
constexpr Index kRows = kWide ? 8 : 6;
constexpr Index kVectors = kWide ? 3 : 2;
constexpr Index kColumns = kVectors * hn::MaxLanes(D());

Index TileRows() { return kRows; }
Index TileColumns() { return kColumns; }

// c [kRows, kColumns] += a · b; a [depth, kRows] and b [depth, kColumns] are packed.
HWY_ATTR void Tile(const double* HWY_RESTRICT a, const double* HWY_RESTRICT b, Index depth,
                   double* HWY_RESTRICT c, Index c_stride) {
#if HWY_NATIVE_FMA
  const D d;
  constexpr Index kLanes = hn::MaxLanes(D());
  // The sums stay in registers only where every loop over them is written out.
  hn::Vec<D> sum[kRows][kVectors];
#pragma GCC unroll 8
  for (Index r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (Index j = 0; j < kVectors; ++j) sum[r][j] = hn::LoadU(d, c + r * c_stride + j * kLanes);
  }
  for (Index k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    hn::Vec<D> column[kVectors];
#pragma GCC unroll 8
    for (Index j = 0; j < kVectors; ++j) column[j] = hn::Load(d, b + j * kLanes);
#pragma GCC unroll 8
    for (Index r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, a[r]);
#pragma GCC unroll 8
      for (Index j = 0; j < kVectors; ++j) sum[r][j] = hn::MulAdd(x, column[j], sum[r][j]);
    }
  }
#pragma GCC unroll 8
  for (Index r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (Index j = 0; j < kVectors; ++j) hn::StoreU(sum[r][j], d, c + r * c_stride + j * kLanes);
  }
#else
  for (Index r = 0; r < kRows; ++r) {
    for (Index j = 0; j < kColumns; ++j) {
      double sum = c[r * c_stride + j];
      for (Index k = 0; k < depth; ++k) sum = std::fma(a[k * kRows + r], b[k * kColumns + j], sum);
      c[r * c_stride + j] = sum;
    }
  }
#endif
}

// c [columns] += a [1, depth] · b [depth, columns] without packing, which for one row would cost
// more than the product. Rounded as Tile.
HWY_ATTR void Row(const Operand<double>& a, const Operand<float>& b, double* c) {
  constexpr Index kChains = 8;  // independent sums hide the latency of each
  for (Index j = 0; j < b.columns; j += kChains) {
    const Index count = std::min(kChains, b.columns - j);
    double sum[kChains] = {};
    std::copy_n(c + j, count, sum);
    const float* column[kChains];
    for (Index r = 0; r < kChains; ++r)
      column[r] = b.data + (j + std::min(r, count - 1)) * b.column_stride;
    for (Index k = 0; k < a.columns; ++k) {
      const double x = a.data[k * a.column_stride];
#pragma GCC unroll 8
      for (Index r = 0; r < kChains; ++r) {
        sum[r] = std::fma(x, double{column[r][k * b.row_stride]}, sum[r]);
      }
    }
    std::copy_n(sum, count, c + j);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace cliplens::nn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cliplens::nn {
namespace {

HWY_EXPORT(TileRows);
HWY_EXPORT(TileColumns);
HWY_EXPORT(Tile);
HWY_EXPORT(Row);

// Of b at once: what fits into the second cache.
constexpr Index kDepth = 192;
constexpr Index kWidth = 384;

// Rows [row, row + rows) and columns [column, column + columns) of x.
template <typename T>
Operand<T> Part(const Operand<T>& x, Index row, Index rows, Index column, Index columns) {
  return {x.data + row * x.row_stride + column * x.column_stride, rows, columns, x.row_stride,
          x.column_stride};
}

// Rows of x, at most `tile` of them, as [columns, tile]; rows that x lacks are zero.
template <typename T>
void Pack(const Operand<T>& x, Index tile, double* out) {
  if (x.column_stride == 1 && x.row_stride != 1) {
    for (Index r = 0; r < tile; ++r) {
      const T* row = x.data + r * x.row_stride;
      for (Index k = 0; k < x.columns; ++k) out[k * tile + r] = r < x.rows ? double{row[k]} : 0.0;
    }
    return;
  }
  const T* column = x.data;
  for (Index k = 0; k < x.columns; ++k, column += x.column_stride, out += tile) {
    for (Index r = 0; r < x.rows; ++r) out[r] = double{column[r * x.row_stride]};
    std::fill(out + x.rows, out + tile, 0.0);
  }
}

}  // namespace

template <typename A, typename B>
void AddProduct(const Operand<A>& a, const Operand<B>& b, double* c, Index c_stride, bool upper) {
  assert(a.columns == b.rows);
  if constexpr (std::is_same_v<A, double> && std::is_same_v<B, float>) {
    if (a.rows == 1) {
      HWY_DYNAMIC_DISPATCH(Row)(a, b, c);
      return;
    }
  }
  const Index rows = HWY_DYNAMIC_DISPATCH(TileRows)();
  const Index columns = HWY_DYNAMIC_DISPATCH(TileColumns)();
  const auto tile = HWY_DYNAMIC_DISPATCH(Tile);
  const Index width =
      std::min((b.columns + columns - 1) / columns * columns, kWidth / columns * columns);
  if (a.rows == 0 || b.columns == 0) return;
  thread_local Buffer<double> packed;
  const Index depth_most = std::min(kDepth, a.columns);
  double* const packed_b = packed.Grow(depth_most * width + depth_most * rows + rows * columns);
  double* const packed_a = packed_b + depth_most * width;
  double* const edge = packed_a + depth_most * rows;
  for (Index j0 = 0; j0 < b.columns; j0 += width) {
    const Index j1 = std::min(b.columns, j0 + width);
    const Index i1 = upper ? std::min(a.rows, j1) : a.rows;
    for (Index k0 = 0; k0 < a.columns; k0 += kDepth) {
      const Index depth = std::min(kDepth, a.columns - k0);
      for (Index j = j0; j < j1; j += columns) {
        Pack(Part(b.Transposed(), j, std::min(columns, j1 - j), k0, depth), columns,
             packed_b + (j - j0) * depth);
      }
      for (Index i = 0; i < i1; i += rows) {
        const Index some_rows = std::min(rows, a.rows - i);
        Pack(Part(a, i, some_rows, k0, depth), rows, packed_a);
        for (Index j = j0; j < j1; j += columns) {
          if (upper && j + columns <= i) continue;
          const Index some_columns = std::min(columns, j1 - j);
          double* const at = c + i * c_stride + j;
          const double* const panel = packed_b + (j - j0) * depth;
          if (some_rows == rows && some_columns == columns) {
            tile(packed_a, panel, depth, at, c_stride);
            continue;
          }
          std::fill(edge, edge + rows * columns, 0.0);
          for (Index r = 0; r < some_rows; ++r) {
            std::copy_n(at + r * c_stride, some_columns, edge + r * columns);
          }
          tile(packed_a, panel, depth, edge, columns);
          for (Index r = 0; r < some_rows; ++r) {
            std::copy_n(edge + r * columns, some_columns, at + r * c_stride);
          }
        }
      }
    }
  }
}

template void AddProduct(const Operand<double>&, const Operand<double>&, double*, Index, bool);
template void AddProduct(const Operand<float>&, const Operand<double>&, double*, Index, bool);
template void AddProduct(const Operand<double>&, const Operand<float>&, double*, Index, bool);
template void AddProduct(const Operand<float>&, const Operand<float>&, double*, Index, bool);

}  // namespace cliplens::nn
#endif  // HWY_ONCE
