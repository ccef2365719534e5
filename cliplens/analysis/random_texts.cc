#include "cliplens/analysis/random_texts.h"

#include <cmath>
#include <numbers>
#include <random>

#include "cliplens/base/error.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {

Array<float, 2> RandomTexts(ArrayView<const float, 2> texts, Index count, std::uint64_t seed) {
  const Index width = texts.dim(1);
  if (texts.dim(0) == 0)
    throw Error(ErrorCode::kInvalidArgument, "random texts like those of no text");
  const SymmetricEigen spectrum =
      EigenOfSymmetric(nn::Product(nn::Of(texts).Transposed(), nn::Of(texts)));
  // Box and Muller's normal numbers from an engine that the standard lays down.
  std::mt19937_64 engine(seed);
  const auto uniform = [&] { return (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53; };
  const auto normal = [&](Index rows, Index columns) {
    Matrix a(rows, columns);
    for (Index i = 0; i < rows; ++i) {
      for (Index k = 0; k < columns; ++k) {
        const double radius = std::sqrt(-2 * std::log(uniform()));
        a(i, k) = radius * std::cos(2 * std::numbers::pi * uniform());
      }
    }
    return a;
  };
  const Matrix turn = OrthonormalColumns(normal(width, width));
  const Matrix scaled =
      normal(count, width) * spectrum.values.cwiseMax(0.0).cwiseSqrt().asDiagonal();
  const Matrix rows = nn::Product(nn::Of(scaled), nn::Of(turn)).rowwise().normalized();
  Array<float, 2> random({count, width});
  AsEigen(random.view()) = rows.cast<float>();
  return random;
}

}  // namespace cliplens
