// What an embedding must be before it is an answer.
#pragma once

#include <span>
#include <string_view>

namespace cliplens {

// Throws Error(kUnsupported), which opens with `item`, unless a row is a unit vector: activations
// that overflow, and an embedding of length 0, have no direction, and NaN is no answer.
void CheckEmbedding(std::span<const float> row, std::string_view item);

}  // namespace cliplens
