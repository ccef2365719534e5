#include "cliplens/decompose/basis.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace {

// Eigenvalues below this share of the largest are rounding: B is fp32, so its Gram matrix is known
// to about 1e-14 of its scale.
constexpr double kGramTolerance = 1e-12;

}  // namespace

Basis IdentityBasis(const FactorSizes& sizes) {
  Basis basis;
  basis.own = sizes;
  basis.identity = Array<float, 2>({sizes.embed_width, sizes.embed_width});
  for (Index e = 0; e < sizes.embed_width; ++e) basis.identity(e, e) = 1;
  return basis;
}

Basis MakeBasis(const Readout& readout, int threads) {
  const Components components = readout.components();
  const FactorSizes sizes = {.layers = components.layers(),
                             .heads = components.heads_a_layer(),
                             .factor = readout.factor(),
                             .embed_width = readout.embed_width(),
                             .pool_mlp = components.has_pool_mlp(),
                             .level = components.level()};
  if (sizes.factor.constants == 0) return IdentityBasis(sizes);
  return {.heads = readout.HeadMatrices(threads), .own = sizes};
}

namespace {

// Of an identity: layers, heads, E, and whether there is a POOL.MLP.
constexpr char kIdentity[] = "contributions";
// Of the level of the pool: 1 with a POOL.MLP, otherwise 0.
constexpr char kPoolOfBasis[] = "pool";
constexpr double kMostSize = 16'384;

}  // namespace

void WriteBasis(const std::filesystem::path& path, const Basis& basis) {
  if (basis.is_identity()) {
    const std::int32_t sizes[] = {
        static_cast<std::int32_t>(basis.layers()), static_cast<std::int32_t>(basis.num_heads()),
        static_cast<std::int32_t>(basis.embed_width()), basis.pool_mlp() ? 1 : 0};
    const TensorToWrite tensor{kIdentity, DataType::kI32, {4}, AsBytes(std::span(sizes))};
    WriteSafetensors(path, {&tensor, 1});
    return;
  }
  const std::int32_t pool = basis.pool_mlp() ? 1 : 0;
  const TensorToWrite tensors[] = {
      {"heads",
       DataType::kF32,
       {basis.heads.shape().begin(), basis.heads.shape().end()},
       AsBytes(basis.heads.flat())},
      {kPoolOfBasis, DataType::kI32, {1}, AsBytes(std::span(&pool, 1))}};
  const std::size_t count = basis.components().level() == Level::kPool ? 2 : 1;
  WriteSafetensors(path, std::span(tensors).first(count));
}

Basis ReadBasis(const std::filesystem::path& path, Index constants) {
  const SafetensorsFile file(path);
  if (constants == 0) {
    const TensorEntry& entry = file.at(kIdentity);
    std::vector<double> sizes(4, 0.0);
    if (entry.shape == std::vector<Index>{4}) sizes = file.ReadNumbers(entry);
    const auto outside = [](double n) { return !(n >= 1 && n <= kMostSize); };
    if (std::any_of(sizes.begin(), sizes.end() - 1, outside) || !(sizes[3] == 0 || sizes[3] == 1)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' is {}; layers, heads, the embedding's length, and 0 or 1 were "
                  "expected; decompose again",
                  path.string(), kIdentity, fmt::join(sizes, ", "));
    }
    const auto size = [&](std::size_t i) { return static_cast<Index>(sizes[i]); };
    return IdentityBasis({.layers = size(0),
                          .heads = size(1),
                          .factor = {.values = size(2), .constants = 0},
                          .embed_width = size(2),
                          .pool_mlp = sizes[3] == 1});
  }
  const TensorEntry& entry = file.at("heads");
  if (entry.shape.size() != 4 || entry.shape[2] <= constants ||
      std::ranges::any_of(entry.shape, [](Index n) { return n < 1; })) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor 'heads' has shape {}, [layers, heads, K+3, E] was expected; decompose "
                "again",
                path.string(), ShapeText(entry.shape));
  }
  Basis basis;
  basis.heads = Array<float, 4>({entry.shape[0], entry.shape[1], entry.shape[2], entry.shape[3]},
                                file.ReadAsFloat(entry));
  if (!file.tensors().contains(kPoolOfBasis)) return basis;
  const TensorEntry& pool = file.at(kPoolOfBasis);
  const std::vector<double> has_mlp =
      pool.shape == std::vector<Index>{1} ? file.ReadNumbers(pool) : std::vector<double>{-1};
  if (entry.shape[0] != 1 || (has_mlp[0] != 0 && has_mlp[0] != 1)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' is {} of {} layers; 0 or 1 and one layer were expected; decompose "
                "again",
                path.string(), kPoolOfBasis, has_mlp[0], entry.shape[0]);
  }
  basis.own.pool_mlp = has_mlp[0] == 1;
  basis.own.level = Level::kPool;
  return basis;
}

Matrix FactorsOf(const FactorLayout& layout, ArrayView<const float, 2> z,
                 ArrayView<const float, 2> ln) {
  if (ln.dim(0) != z.dim(0) || ln.dim(1) != 3 || z.dim(1) != layout.values) {
    throw Error(ErrorCode::kInvalidArgument,
                "factors: z [{}, {}] of heads that bring {} numbers, ln [{}, {}]", z.dim(0),
                z.dim(1), layout.values, ln.dim(0), ln.dim(1));
  }
  Matrix u(z.dim(0), layout.width());
  for (Index b = 0; b < z.dim(0); ++b) {
    layout.Fill(z.row(b), ScaleOf(ln.row(b)), {u.row(b).data(), ToSize(u.cols())});
  }
  return u;
}

namespace {

bool IsIdentity(ArrayView<const float, 2> matrix) {
  if (matrix.dim(0) != matrix.dim(1)) return false;
  for (Index i = 0; i < matrix.dim(0); ++i) {
    const std::span<const float> row = matrix.row(i);
    for (std::size_t k = 0; k < row.size(); ++k) {
      if (row[k] != (static_cast<Index>(k) == i ? 1.0f : 0.0f)) return false;
    }
  }
  return true;
}

}  // namespace

HeadCoordinates CoordinatesOf(ArrayView<const float, 2> head_basis) {
  if (IsIdentity(head_basis)) {
    const Matrix identity = Matrix::Identity(head_basis.dim(0), head_basis.dim(0));
    return {identity, identity};
  }
  const Matrix b = AsEigen(head_basis).cast<double>();
  const SymmetricEigen gram = EigenOfSymmetric(b * b.transpose());
  Index rank = 0;
  while (rank < gram.values.size() && gram.values[rank] > kGramTolerance * gram.values[0]) ++rank;
  const Vector root = gram.values.head(rank).cwiseSqrt();
  const Matrix vectors = gram.vectors.leftCols(rank).transpose();  // V^T [r, K+3]
  HeadCoordinates c;
  c.from_factor = root.asDiagonal() * vectors;
  c.from_text = root.cwiseInverse().asDiagonal() * (vectors * b);
  return c;
}

}  // namespace cliplens
