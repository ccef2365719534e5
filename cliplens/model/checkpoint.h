// Loads checkpoints of any layout under the project's own tensor names.
//
//   const Checkpoint c = LoadCheckpoint("epoch_3.pt", "ViT-B-16");
//
// The names of its tensors tell which table of tensor_table.h a file follows. Where the
// configuration comes from depends on what is given:
//
//     directory with open_clip_config.json  that file
//     directory with config.json            that file, and preprocessor_config.json
//     file that OpenAI published            the shapes of its tensors, as OpenAI's own loader does
//     any other checkpoint file             the architecture named with it
//
// A LoRA adapter beside a directory's weights is merged into them (adapter.h).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

struct Tensor {
  std::vector<Index> shape;
  std::vector<float> values;
};

// All tensors of a model as fp32 under our names.
using TensorMap = std::map<std::string, Tensor>;
// Error(kInternal) for a tensor that is not there or whose values are gone.
const float* ValuesOf(const TensorMap& tensors, const std::string& name);

struct Checkpoint {
  std::string name;                  // the directory's or file's name, for people
  std::filesystem::path path;        // what was loaded: a directory or a file
  std::string architecture;          // as it was named, empty if none was
  std::string weights;               // as they were named, empty if none were
  PictureChoice pictures;            // as they were asked for
  std::filesystem::path vocabulary;  // directory that may hold one; empty: CLIP's own is used
  std::string layout;                // for people: "Hugging Face directory, safetensors"
  std::vector<std::filesystem::path> files;  // all that were read: configuration and weights
  ModelConfig config;
  TensorMap tensors;
  bool with_text = true;  // the text tower's are among them, if the model has one
  // XXH3-128 over the sizes, the activation, ε and all tensors in fp32: the same weights give the
  // same fingerprint in any layout or file type. Preprocessing and tokenizer do not count.
  std::string fingerprint;
};

// The configuration of a model alone, without its weights. Errors as LoadCheckpoint's.
ModelConfig LoadConfig(const std::filesystem::path& path, const std::string& architecture = "",
                       const std::string& weights = "", const PictureChoice& pictures = {});

// `path`: a directory or a checkpoint file. `architecture`, for a file that brings no
// configuration: a name of open_clip's ("ViT-B-16"), "openai" (sizes from the tensors' shapes,
// QuickGELU), or a JSON file like open_clip_config.json, whose directory may hold the vocabulary.
// The files of a tokenizer that an architecture by name has of its own lie beside the checkpoint.
// `weights`, for a file with several models: what stands before the names of the one that is meant
// ("model_ema"), or "." for the one without such a prefix.
// `pictures`: of another size, position embeddings are resized (position_grid.h), and the picture's
// resize in proportion; resized as torchvision does, if transformers would (a Hugging Face
// directory).
// Without `with_text` the text tower's tensors are read and checked, but not kept.
// Throws Error that names the file and the tensor: kNotFound, kCorruptData (a shape that
// contradicts the configuration, with both), kInvalidArgument (no architecture named, or one beside
// a directory; a picture smaller than a patch or too large, torchvision's resize for a model of
// open_clip's), kUnsupported (with the reason).
Checkpoint LoadCheckpoint(const std::filesystem::path& path, const std::string& architecture = "",
                          const std::string& weights = "", const PictureChoice& pictures = {},
                          bool with_text = true);

}  // namespace cliplens
