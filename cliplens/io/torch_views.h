// The tensors that a PyTorch file's pickle describes, as views of storages.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/io/data_type.h"
#include "cliplens/io/pickle.h"

namespace cliplens {

inline constexpr std::size_t kMaxTorchAxes = 32;

// The bytes of a NumPy array. Older protocols of pickle have no bytes and write Latin-1 as UTF-8.
struct PickledBytes {
  std::string_view text;  // in the bytes of the pickle
  bool latin1 = false;
};
std::vector<std::uint8_t> BytesOf(const PickledBytes& pickled);

struct TorchStorage {
  std::string key;
  DataType type = DataType::kF32;  // of its elements, as the pickle says
  Index bytes = 0;                 // as the pickle says
  Index offset = 0;                // a part of a storage in an older file: bytes from its start
  std::optional<PickledBytes> in_pickle = {};  // instead of a storage under a key
};

// A tensor as a view of a storage. It lies within the storage's `bytes`.
struct TorchView {
  TorchStorage storage;
  DataType type = DataType::kF32;
  std::vector<Index> shape;    // at most kMaxTorchAxes
  std::vector<Index> strides;  // in elements
  Index offset = 0;            // in elements
  Index count = 1;             // elements
  Index extent = 0;            // elements from the first to behind the last, 0 for none

  bool IsContiguous() const;
};

// Whether a file of tensors may use this name: the pickle reader refuses any other.
bool IsTorchName(std::string_view name);

// The type that a class of storages holds ("torch.FloatStorage"), or nothing.
std::optional<DataType> TypeOfStorage(std::string_view name);

// The true size in bytes of the storage with a key, or -1 if the file has none.
using TorchStorageSize = std::function<Index(const std::string& key)>;

// The views under their tensors' names. `name` of the file stands in the messages. An empty
// `size_of` leaves it to the caller to check storages against the file. Throws Error(kCorruptData)
// for a view that does not fit its storage, Error(kUnsupported) for one that is not read,
// Error(kExhausted) above 2^16 tensors.
std::map<std::string, TorchView> CollectTorchViews(const Pickle& pickle, const std::string& name,
                                                   const TorchStorageSize& size_of);

}  // namespace cliplens
