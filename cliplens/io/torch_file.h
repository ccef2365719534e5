// Files that PyTorch writes, read without PyTorch and without running what they hold.
//
//     torch.save      a zip archive with the pickle data.pkl and one entry for each storage; before
//                     version 1.6, and later on request, pickles and storages one after the other
//     torch.jit.save  the same archive with code/ and constants.pkl beside it; a module's
//                     attributes become a nested dictionary, its code is not looked at
//
// Dictionaries in dictionaries, and modules in modules, give names with points: the file
// {"epoch": 3, "state_dict": {"visual.proj": T}} has the tensor "state_dict.visual.proj". Values
// that are not tensors are skipped.
//
// NumPy's arrays in such dictionaries are tensors too; their bytes are in the pickle.
//
// Only the pickle is kept in memory; a storage is read from the file when one of its tensors is.
// Every tensor's offset, shape and strides are checked against the true size of its storage. A name
// that tensors do not need is refused (cliplens/io/pickle.h).
//
//   const std::unique_ptr<TensorFile> file = OpenTorchFile("epoch_3.pt");
//   const std::vector<float> values = file->ReadAsFloat("state_dict.visual.proj");
#pragma once

#include <filesystem>
#include <memory>

#include "cliplens/io/tensor_file.h"

namespace cliplens {

// Whether the first bytes are those of a PyTorch file of either kind.
bool LooksLikeTorchFile(std::span<const std::uint8_t> head);

// Throws Error(kCorruptData), Error(kUnsupported) as described, Error(kExhausted) above 2^16
// tensors.
std::unique_ptr<TensorFile> OpenTorchFile(const std::filesystem::path& path);

}  // namespace cliplens
