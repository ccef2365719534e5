// NumPy's .npy files (little-endian, C order; version 1.0 is written, 1.0 to 3.0 are read).
//
//   const NpyArray array = ReadNpy("embedding.npy");
//   WriteNpy("copy.npy", array.values, array.shape);
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/file.h"
#include "cliplens/io/output_files.h"

namespace cliplens {

void WriteNpy(const std::filesystem::path& path, std::span<const float> values,
              std::span<const Index> shape);

// The same as one of a command's files; nothing for an empty path.
void WriteNpy(OutputFiles& files, const std::filesystem::path& path, std::span<const float> values,
              std::span<const Index> shape);

// Writes a large array piece by piece along its first axis. Throws Error(kInvalidArgument) for more
// values than the shape has and, in Finish(), for fewer; WriteNpy does too.
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

// What stands before the values in a file of version 1.0; `type` as NumPy writes it: "<f4", "<i8".
std::string NpyHeader(std::string_view type, std::span<const Index> shape);

struct NpyArray {
  std::vector<Index> shape;
  std::vector<float> values;
};
// Reads <f4, <f8 and <f2 arrays as fp32; every size is checked against the file. Throws
// Error(kUnsupported) for another type or order, Error(kCorruptData) for a file that contradicts
// itself, Error(kExhausted) for an oversized header.
NpyArray ReadNpy(const std::filesystem::path& path);

}  // namespace cliplens
