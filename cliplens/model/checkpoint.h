// Checkpoints on disk to the project's own tensor names.
//
// A model family is data: one table with a row for each tensor (our name, its name in the file, its
// shape in the letters of the configuration). `{}` in a name stands for the layer.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

struct TensorRow {
  const char* name;        // ours: "vision.block.{}.attn.in.weight"
  const char* checkpoint;  // in the file: "visual.transformer.resblocks.{}.attn.in_proj_weight"
  // Axes in the letters of DESIGN §1, with the tower's own D, F: "3D,D". P: patch side, N: tokens,
  // T: context length, V: vocabulary size, E: embedding width. Empty: a single number.
  const char* shape;
};

// Rows of open_clip's CLIP class with the vision tower's and the text tower's names.
std::span<const TensorRow> OpenClipTable();

struct Tensor {
  std::vector<Index> shape;
  std::vector<float> values;
};

// All tensors of a model as fp32 under our names.
using TensorMap = std::map<std::string, Tensor>;

struct Checkpoint {
  std::string name;  // the directory's name, for people
  std::filesystem::path directory;
  ModelConfig config;
  TensorMap tensors;
  // XXH3-128 over the configuration and all tensors in fp32: the same weights give the same
  // fingerprint in any layout or file type.
  std::string fingerprint;
};

// The configuration of a model alone, without its weights. Errors as LoadCheckpoint's.
ModelConfig LoadConfig(const std::filesystem::path& directory);

// Reads an open_clip hub directory: `open_clip_config.json` and `open_clip_model.safetensors`.
// Throws Error that names the file and the tensor: kNotFound, kCorruptData (a shape that
// contradicts the configuration, with both), kUnsupported.
Checkpoint LoadCheckpoint(const std::filesystem::path& directory);

}  // namespace cliplens
