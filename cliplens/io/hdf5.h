// The part of HDF5 that MATLAB 7.3 files use: arrays, and arrays of references to arrays. Only
// hdf5.cc uses the HDF5 library.
//
//   const Hdf5File file("gtsegs_ijcv.mat");
//   const std::vector<Hdf5Reference> pictures = file.ReadReferences("/value/img", 100'000);
//   const Hdf5Bytes picture = file.ReadBytes(pictures[0], 1 << 24);
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// The place of an object in its file.
struct Hdf5Reference {
  std::uint64_t address = 0;
};

struct Hdf5Bytes {
  std::vector<Index> shape;
  std::vector<std::uint8_t> values;  // row-major
};

// Several threads may call all functions at once; the calls run one after the other. Only the file
// itself is read: links to other files, virtual and external storage, and filters that would have
// to be loaded are refused. Sizes are checked before memory is allocated.
class Hdf5File {
 public:
  // Throws Error(kNotFound) for a missing file, Error(kUnsupported) for one that is no HDF5 file
  // (a MATLAB 5 file is named as such), Error(kCorruptData) for one that cannot be opened.
  explicit Hdf5File(const std::filesystem::path& path);
  ~Hdf5File();
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;

  // All references of a data set, row by row. The data set is named by its path ("/value/img") or
  // by a reference. Throws Error(kNotFound) if the path does not exist, Error(kCorruptData) if it
  // holds something else or a reference points nowhere, Error(kExhausted) above `max_values`.
  std::vector<Hdf5Reference> ReadReferences(const std::string& dataset, Index max_values) const;
  std::vector<Hdf5Reference> ReadReferences(Hdf5Reference dataset, Index max_values) const;

  // A data set of numbers as bytes. Numbers outside of 0 to 255 are clipped. Throws as above.
  Hdf5Bytes ReadBytes(Hdf5Reference dataset, Index max_values) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cliplens
