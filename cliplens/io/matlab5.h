// MATLAB 5 .mat files: numbers, texts, cells and structures. (MATLAB 7.3 files are HDF5:
// io/hdf5.h.)
//
//   const std::map<std::string, MatlabValue> variables = ReadMatlab5("meta.mat");
//   const MatlabValue& synsets = variables.at("synsets");
//   for (Index i = 0; i < synsets.size; ++i) Print(synsets.Field(i, "WNID").text);
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// An array of one of four kinds, with `size` elements in MATLAB's order (first axis fastest).
struct MatlabValue {
  enum class Kind { kNumbers, kText, kCells, kStructures };
  Kind kind = Kind::kNumbers;
  Index size = 0;
  std::vector<double> numbers;
  std::string text;                 // UTF-8
  std::vector<std::string> fields;  // of structures
  // Cells; for structures all fields of the first, then all fields of the second, …
  std::vector<MatlabValue> elements;

  // Throws Error(kCorruptData) that names the field if this is no structure, lacks the field, or i
  // is out of range.
  const MatlabValue& Field(Index i, std::string_view name) const;
};

// The file's variables by name. Variables of other kinds (sparse, complex, objects) are skipped.
// Throws Error(kUnsupported) for a file that is no little-endian MATLAB 5 file (the message says so
// for version 7.3), Error(kCorruptData) for sizes that do not fit, Error(kExhausted) above 16 MB
// for the file or for all variables unpacked.
std::map<std::string, MatlabValue> ReadMatlab5(const std::filesystem::path& path);

}  // namespace cliplens
