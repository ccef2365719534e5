// NumPy's .npy files (version 1.0, little-endian, C order).
//
//   const NpyArray array = ReadNpy("embedding.npy");
//   WriteNpy("copy.npy", array.values, array.shape);
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/file.h"

namespace cliplens {

void WriteNpy(const std::filesystem::path& path, std::span<const float> values,
              std::span<const Index> shape);

// Writes a large array piece by piece along its first axis. Finish() checks that all values were
// written.
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, std::vector<Index> shape);
  void Append(std::span<const float> values);
  void Finish();

 private:
  AtomicFile file_;
  std::string name_;
  Index expected_ = 0;
  Index written_ = 0;
};

struct NpyArray {
  std::vector<Index> shape;
  std::vector<float> values;
};
// Reads <f4, <f8 and <f2 arrays as fp32; every size is checked against the file.
NpyArray ReadNpy(const std::filesystem::path& path);

}  // namespace cliplens
