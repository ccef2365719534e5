// Rows of texts without meaning, as a control.
//
//   const Array<float, 2> random = RandomTexts(texts, /*count=*/1000, /*seed=*/1);
#pragma once

#include <cstdint>

#include "cliplens/base/array.h"

namespace cliplens {

// `count` unit rows in random directions, with the spectrum of the texts' second moment about zero.
// The same for the same seed on every machine.
//   texts: unit rows [M, E]. Throws Error(kInvalidArgument) if there is none.
Array<float, 2> RandomTexts(ArrayView<const float, 2> texts, Index count, std::uint64_t seed);

}  // namespace cliplens
