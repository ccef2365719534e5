#include "cliplens/decompose/basis.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// Eigenvalues below this share of the largest are rounding: B is fp32, so its Gram matrix is known
// to about 1e-14 of its scale.
constexpr double kGramTolerance = 1e-12;

Matrix ToMatrix(const Tensor& tensor) {
  const Index rows = tensor.shape.at(0);
  const Index cols = tensor.shape.size() > 1 ? tensor.shape.at(1) : 1;
  return AsEigen(ArrayView<const float, 2>(tensor.values.data(), {rows, cols})).cast<double>();
}

}  // namespace

Basis MakeBasis(const ClipModel& model, int threads) {
  const TowerConfig& tower = model.config().vision;
  const Index head_width = tower.head_width();
  const Index embed_width = model.config().embed_width;
  const auto components = static_cast<double>(2 * tower.layers + 1);  // J
  const auto heads = static_cast<double>(tower.heads);
  const TensorMap& tensors = model.tensors();
  const Vector gain = ToMatrix(tensors.at("vision.ln_post.gain")).col(0);
  const Vector bias = ToMatrix(tensors.at("vision.ln_post.bias")).col(0);
  const Matrix projection = ToMatrix(tensors.at("vision.projection"));  // [D, E]
  const Matrix scaled_projection = gain.asDiagonal() * projection;      // diag(γ) P
  const Vector p_gain = projection.transpose() * gain;                  // p_γ
  const Vector p_bias = projection.transpose() * bias;                  // p_β

  Basis basis;
  basis.heads =
      Array<float, 4>({tower.layers, tower.heads, head_width + kExtraFactors, embed_width});
  ParallelFor(threads, tower.layers, [&](Index l, int) {
    const std::string prefix = fmt::format("vision.block.{}.attn.out.", l);
    const Matrix out = ToMatrix(tensors.at(prefix + "weight"));            // [D, H·K]
    const Vector out_bias = ToMatrix(tensors.at(prefix + "bias")).col(0);  // b_O
    const Vector p_out = scaled_projection.transpose() * out_bias;         // p_b
    for (Index h = 0; h < tower.heads; ++h) {
      auto b = AsEigen(basis.heads.view()[l][h]);
      const nn::Operand<double> w{out.data() + h * head_width, out.rows(), head_width, out.cols(),
                                  1};
      b.topRows(head_width) = nn::Product(w.Transposed(), nn::Of(scaled_projection)).cast<float>();
      b.row(head_width) = (p_out / heads).cast<float>();
      b.row(head_width + 1) = (-p_gain / (components * heads)).cast<float>();
      b.row(head_width + 2) = (p_bias / (components * heads)).cast<float>();
    }
  });
  return basis;
}

void WriteBasis(const std::filesystem::path& path, const Basis& basis) {
  const TensorToWrite tensor{"heads",
                             DataType::kF32,
                             {basis.heads.shape().begin(), basis.heads.shape().end()},
                             {reinterpret_cast<const std::uint8_t*>(basis.heads.data()),
                              ToSize(basis.heads.size()) * sizeof(float)}};
  WriteSafetensors(path, {&tensor, 1});
}

Basis ReadBasis(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const TensorEntry& entry = file.at("heads");
  if (entry.shape.size() != 4 || entry.shape[2] <= kExtraFactors ||
      std::ranges::any_of(entry.shape, [](Index n) { return n < 1; })) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor 'heads' has shape {}, [layers, heads, K+3, E] was expected; decompose "
                "again",
                path.string(), ShapeText(entry.shape));
  }
  Basis basis;
  basis.heads = Array<float, 4>({entry.shape[0], entry.shape[1], entry.shape[2], entry.shape[3]},
                                ReadAsFloat(entry));
  return basis;
}

void FillFactor(std::span<const float> z, double mean, double sigma, double norm,
                std::span<double> u) {
  const double scale = 1.0 / (sigma * norm);
  for (std::size_t k = 0; k < z.size(); ++k) u[k] = z[k] * scale;
  u[z.size()] = scale;
  u[z.size() + 1] = mean * scale;
  u[z.size() + 2] = sigma * scale;
}

Matrix FactorsOf(ArrayView<const float, 2> z, ArrayView<const float, 2> ln) {
  if (ln.dim(0) != z.dim(0) || ln.dim(1) != 3) {
    throw Error(ErrorCode::kInvalidArgument, "factors: z of {} pictures, ln [{}, {}]", z.dim(0),
                ln.dim(0), ln.dim(1));
  }
  Matrix u(z.dim(0), z.dim(1) + kExtraFactors);
  for (Index b = 0; b < z.dim(0); ++b) {
    FillFactor(z.row(b), ln(b, 0), ln(b, 1), ln(b, 2), {u.row(b).data(), ToSize(u.cols())});
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
