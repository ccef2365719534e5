#include "cliplens/model/unit_row.h"

#include <cmath>

#include "cliplens/base/error.h"

namespace cliplens {

void CheckEmbedding(std::span<const float> row, std::string_view item) {
  double square = 0;
  for (const float v : row) square += double{v} * v;
  if (std::abs(square - 1) < 1e-3) return;
  throw Error(ErrorCode::kUnsupported,
              "{}: its embedding has no direction: the model's activations overflow or vanish on "
              "it; check the weights, and the mean and std that pictures are made ready with",
              item);
}

}  // namespace cliplens
