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

// c [columns] += a [depth] · b [depth, columns] without packing, which for one row would cost more
// than the product. Rounded as Tile.
HWY_ATTR void Row(const double* a, Index a_stride, const float* b, Index depth_stride,
                  Index column_stride, Index depth, Index columns, double* c) {
  constexpr Index kChains = 8;  // independent sums hide the latency of each
  for (Index j = 0; j < columns; j += kChains) {
    const Index count = std::min(kChains, columns - j);
    double sum[kChains] = {};
    std::copy_n(c + j, count, sum);
    const float* column[kChains];
    for (Index r = 0; r < kChains; ++r)
      column[r] = b + (j + std::min(r, count - 1)) * column_stride;
    for (Index k = 0; k < depth; ++k) {
      const double x = a[k * a_stride];
#pragma GCC unroll 8
      for (Index r = 0; r < kChains; ++r) {
        sum[r] = std::fma(x, double{column[r][k * depth_stride]}, sum[r]);
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

// `count` rows of x from `first` on, as [depth, tile]; rows beyond `count` are zero.
template <typename T>
void Pack(const T* x, Index stride, Index depth_stride, Index count, Index tile, Index depth,
          double* out) {
  if (depth_stride == 1 && stride != 1) {
    for (Index r = 0; r < tile; ++r) {
      const T* row = x + r * stride;
      for (Index k = 0; k < depth; ++k) out[k * tile + r] = r < count ? double{row[k]} : 0.0;
    }
    return;
  }
  for (Index k = 0; k < depth; ++k, x += depth_stride, out += tile) {
    for (Index r = 0; r < count; ++r) out[r] = double{x[r * stride]};
    std::fill(out + count, out + tile, 0.0);
  }
}

}  // namespace

template <typename A, typename B>
void AddProduct(const Operand<A>& a, const Operand<B>& b, double* c, Index c_stride, bool upper) {
  assert(a.columns == b.rows);
  if constexpr (std::is_same_v<A, double> && std::is_same_v<B, float>) {
    if (a.rows == 1) {
      HWY_DYNAMIC_DISPATCH(Row)
      (a.data, a.column_stride, b.data, b.row_stride, b.column_stride, a.columns, b.columns, c);
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
        Pack(b.data + k0 * b.row_stride + j * b.column_stride, b.column_stride, b.row_stride,
             std::min(columns, j1 - j), columns, depth, packed_b + (j - j0) * depth);
      }
      for (Index i = 0; i < i1; i += rows) {
        const Index some_rows = std::min(rows, a.rows - i);
        Pack(a.data + i * a.row_stride + k0 * a.column_stride, a.row_stride, a.column_stride,
             some_rows, rows, depth, packed_a);
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
