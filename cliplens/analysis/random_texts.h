// Rows of texts without meaning, as a control.
//
//   const Array<float, 2> random = RandomTexts(texts, /*count=*/1000, /*seed=*/1);
#pragma once

#include <cstdint>

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"

namespace cliplens {

// `count` unit rows in random directions, with the spectrum of the texts' second moment about zero.
// The same for the same seed on every machine.
//   texts: unit rows [M, E]. Throws Error(kInvalidArgument) if there is none.
Array<float, 2> RandomTexts(ArrayView<const float, 2> texts, Index count, std::uint64_t seed);

// The texts [M, E] turned together by a random rotation of all E directions: they lie to one
// another as before, and to pictures at random. The same for the same seed on every machine.
Array<float, 2> TurnedTexts(ArrayView<const float, 2> texts, std::uint64_t seed);

}  // namespace cliplens
