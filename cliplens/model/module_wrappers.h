// Names of tensors without what training tools put around modules.
//
//   const auto file = WithoutWrappers(OpenTensorFile("epoch_3.pt"));
//   file->tensors().contains("visual.transformer.resblocks.0.ln_1.weight");
//
// torch.compile adds "_orig_mod" to the names of what it compiles, FSDP "_fsdp_wrapped_module", and
// activation checkpointing "_checkpoint_wrapped_module": in front of the whole model's names, or in
// the middle where single blocks are wrapped.
#pragma once

#include <memory>

#include "cliplens/io/tensor_file.h"

namespace cliplens {

// The same tensors with those parts taken out of their names. Throws Error(kCorruptData) when two
// tensors would have one name.
std::unique_ptr<TensorFile> WithoutWrappers(std::unique_ptr<TensorFile> file);

}  // namespace cliplens
