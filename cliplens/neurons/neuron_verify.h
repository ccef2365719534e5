// Checks everything that a store of neurons promises.
//
//   for (const Problem& problem : VerifyNeuronStore("nstore/", {.model = &model})) {
//     Print(problem.message);
//   }
#pragma once

#include <filesystem>
#include <vector>

#include "cliplens/decompose/verify.h"

namespace cliplens {

// As VerifyStore: manifest, checksums, names and shapes of tensors, counts, items, finite values.
// Computes the statistics again from the shards; their bytes must be equal. With a model it
// compares fingerprint, configuration and basis. Returns all problems.
std::vector<Problem> VerifyNeuronStore(const std::filesystem::path& directory,
                                       const VerifyOptions& options);

}  // namespace cliplens
