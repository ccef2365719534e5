#include "cliplens/decompose/basis.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace {

// Eigenvalues below this share of the largest are rounding: B is fp32, so its Gram matrix is known
// to about 1e-14 of its scale.
constexpr double kGramTolerance = 1e-12;

}  // namespace

Basis MakeBasis(const Readout& readout, int threads) {
  return {.heads = readout.HeadMatrices(threads), .constants = readout.factor().constants};
}

void WriteBasis(const std::filesystem::path& path, const Basis& basis) {
  const TensorToWrite tensor{"heads",
                             DataType::kF32,
                             {basis.heads.shape().begin(), basis.heads.shape().end()},
                             AsBytes(basis.heads.flat())};
  WriteSafetensors(path, {&tensor, 1});
}

Basis ReadBasis(const std::filesystem::path& path, Index constants) {
  const SafetensorsFile file(path);
  const TensorEntry& entry = file.at("heads");
  if (entry.shape.size() != 4 || entry.shape[2] <= constants ||
      std::ranges::any_of(entry.shape, [](Index n) { return n < 1; })) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor 'heads' has shape {}, [layers, heads, K+3, E] was expected; decompose "
                "again",
                path.string(), ShapeText(entry.shape));
  }
  Basis basis;
  basis.constants = constants;
  basis.heads = Array<float, 4>({entry.shape[0], entry.shape[1], entry.shape[2], entry.shape[3]},
                                file.ReadAsFloat(entry));
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

HeadCoordinates CoordinatesOf(ArrayView<const float, 2> head_basis) {
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
