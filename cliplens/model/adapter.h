// LoRA adapters (arXiv 2106.09685) as the peft library writes them: adapter_config.json with
// adapter_model.safetensors or .bin. An adapted matrix is W + s B A, with s = alpha / r, or
// alpha / √r ("rslora", arXiv 2312.03732).
//
//   auto file = OpenTensorFile(directory / "model.safetensors");
//   if (HasAdapter(directory)) file = WithAdapter(std::move(file), directory, /*prefix=*/"");
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cliplens/io/tensor_file.h"

namespace cliplens {

// Whether a directory holds an adapter: alone, or beside the weights that it belongs to.
bool HasAdapter(const std::filesystem::path& directory);

// For a directory with an adapter and no weights: which model it adapts, and the lines that merge
// the two.
[[noreturn]] void ThrowAdapterAlone(const std::filesystem::path& directory);

// The tensors of `base` with the directory's adapter merged into them; `prefix` stands before the
// names of its model. Throws Error(kUnsupported) for an adapter of another kind and for settings
// that change more than matrices, Error(kCorruptData) for one that does not fit the weights.
std::unique_ptr<TensorFile> WithAdapter(std::unique_ptr<TensorFile> base,
                                        const std::filesystem::path& directory,
                                        const std::string& prefix);

// Throws Error(kUnsupported) if a file holds an adapter's tensors: its scale is not in it.
void RefuseAdapterTensors(const TensorFile& file);

}  // namespace cliplens
