// Everything that a store promises, checked.
//
//   for (const Problem& problem : VerifyStore("store/", {.model = &model})) Print(problem.message);
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/progress.h"
#include "cliplens/model/clip.h"

namespace cliplens {

struct Problem {
  ErrorCode code = ErrorCode::kCorruptData;
  std::string file;     // in the store; "" for the store itself
  std::string message;  // one line that names the file
};

struct VerifyOptions {
  const ClipModel* model = nullptr;  // that the store is to be of; null: not compared
  int threads = 0;
  ProgressSink progress;
};

// The manifest, the checksum of every file, names and shapes of every tensor, counts, the lines of
// items, finite values; the statistics and the certificate made again from the shards (equal, as
// sums are exact); with a model its fingerprint, its configuration and the basis. All problems that
// were found, one for each file or promise; none if all is well. Throws only what no store is to
// blame for (memory).
std::vector<Problem> VerifyStore(const std::filesystem::path& directory,
                                 const VerifyOptions& options);

}  // namespace cliplens
