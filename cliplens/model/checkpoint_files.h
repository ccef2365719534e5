// Finds and opens the files of a checkpoint: which layout a path has, where its configuration comes
// from, and to which family its tensors belong.
//
//   const OpenedCheckpoint opened =
//       OpenCheckpoint("epoch_3.pt", "ViT-B-16", /*weights=*/"", /*with_weights=*/true);
//   Print(opened.family->name, opened.file->tensors().size());
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "cliplens/io/tensor_file.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/tensor_table.h"

namespace cliplens {

// Everything that is known of a model before its weights are read.
struct OpenedCheckpoint {
  const TensorFamily* family = nullptr;
  std::unique_ptr<TensorFile> file;
  std::string prefix;     // of all its tensors' names: "state_dict.module."
  Checkpoint checkpoint;  // without tensors and fingerprint
};

// Arguments and errors as LoadCheckpoint. Without `with_weights` a directory's tensors are not
// opened, and `family` and `file` are null.
OpenedCheckpoint OpenCheckpoint(const std::filesystem::path& path, const std::string& architecture,
                                const std::string& weights, bool with_weights);

// The names of a directory's files.
struct ModelFileNames {
  const char* config;
  std::span<const char* const> weights;  // the first that is there counts; *.index.json lists parts
};
// Those of each layout; the first that has both counts.
std::span<const ModelFileNames> ModelFiles();

// Whether a directory has a configuration and weights, all parts of them.
bool HoldsModel(const std::filesystem::path& directory);

}  // namespace cliplens
