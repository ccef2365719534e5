// Named tensors in any file type that CLIP checkpoints come in, read one at a time as fp32.
//
//   const std::unique_ptr<TensorFile> file = OpenTensorFile("epoch_3.pt");
//   for (const auto& [name, info] : file->tensors()) Print(name, info.shape);
//   const std::vector<float> values = file->ReadAsFloat("state_dict.visual.proj");
//
// The first bytes tell the type of a file: safetensors, a PyTorch file (zip, TorchScript archive or
// the older format, cliplens/io/torch_file.h), or the JSON index of either in several files
// (`*.safetensors.index.json`, `pytorch_model.bin.index.json`).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

struct TensorInfo {
  DataType type = DataType::kF32;
  std::vector<Index> shape;
};

// One thread at a time.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  TensorFile() = default;
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  // For messages: "safetensors", "PyTorch file", "TorchScript archive".
  virtual std::string kind() const = 0;
  virtual const std::map<std::string, TensorInfo>& tensors() const = 0;
  // Row-major values of a tensor. Throws Error(kNotFound) for a name that is not there,
  // Error(kUnsupported) for a tensor that is not of floating type, Error(kCorruptData) for bytes
  // that are damaged or missing.
  virtual std::vector<float> ReadAsFloat(const std::string& name) const = 0;
  // The one value of a tensor of one element, of any type.
  virtual double ReadScalar(const std::string& name) const = 0;
  // The file that holds a tensor, for messages; the opened file if no tensor has this name.
  virtual std::filesystem::path FileOf(const std::string& name) const = 0;
  // All files with tensors, beginning with the one that was opened.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

// Throws Error that names the file: kNotFound, kCorruptData, kUnsupported.
std::unique_ptr<TensorFile> OpenTensorFile(const std::filesystem::path& path);

// The names of the files that an index names, each once, in alphabetical order. Throws
// Error(kCorruptData) for a name that leads elsewhere and for what is no index.
std::vector<std::string> PartsOfIndex(const std::filesystem::path& index);

}  // namespace cliplens
