// Checks everything that a store promises.
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
  const ClipModel* model = nullptr;  // that the store must be of; null: not compared
  int threads = 0;
  ProgressSink progress;
};

// Checks the manifest, the checksum of every file, names and shapes of every tensor, counts, the
// lines of items and that values are finite. Computes statistics and certificate again from the
// shards; they must be equal, as sums are exact. With a model it compares fingerprint,
// configuration and basis. Returns all problems, one for each file or promise; none if all is well.
// Throws only errors that are no store's fault (memory).
std::vector<Problem> VerifyStore(const std::filesystem::path& directory,
                                 const VerifyOptions& options);

// Names of what lies in a store's directory and is no file of a store, sorted. It harms nothing and
// no checksum covers it.
std::vector<std::string> StrayFiles(const std::filesystem::path& directory);

}  // namespace cliplens
