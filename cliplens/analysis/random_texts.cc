#include "cliplens/analysis/random_texts.h"

#include <cmath>
#include <numbers>
#include <random>

#include "cliplens/base/error.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// Box and Muller's normal numbers from an engine that the standard lays down.
Matrix NormalMatrix(Index rows, Index columns, std::mt19937_64& engine) {
  const auto uniform = [&] { return (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53; };
  Matrix a(rows, columns);
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < columns; ++k) {
      const double radius = std::sqrt(-2 * std::log(uniform()));
      a(i, k) = radius * std::cos(2 * std::numbers::pi * uniform());
    }
  }
  return a;
}

Array<float, 2> ArrayOf(const Matrix& rows) {
  Array<float, 2> array({rows.rows(), rows.cols()});
  AsEigen(array.view()) = rows.cast<float>();
  return array;
}

}  // namespace

Array<float, 2> RandomTexts(ArrayView<const float, 2> texts, Index count, std::uint64_t seed) {
  const Index width = texts.dim(1);
  if (texts.dim(0) == 0)
    throw Error(ErrorCode::kInvalidArgument, "random texts like those of no text");
  const SymmetricEigen spectrum =
      EigenOfSymmetric(nn::Product(nn::Of(texts).Transposed(), nn::Of(texts)));
  std::mt19937_64 engine(seed);
  const Matrix turn = OrthonormalColumns(NormalMatrix(width, width, engine));
  const Matrix scaled =
      NormalMatrix(count, width, engine) * spectrum.values.cwiseMax(0.0).cwiseSqrt().asDiagonal();
  return ArrayOf(nn::Product(nn::Of(scaled), nn::Of(turn)).rowwise().normalized());
}

Array<float, 2> TurnedTexts(ArrayView<const float, 2> texts, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  const Matrix turn = OrthonormalColumns(NormalMatrix(texts.dim(1), texts.dim(1), engine));
  return ArrayOf(nn::Product(nn::Of(texts), nn::Of(turn)));
}

}  // namespace cliplens
