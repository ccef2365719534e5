// Writes HDF5 files laid out as MATLAB 7.3 does, right or wrong, for tests.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <hdf5.h>

namespace cliplens {

class Hdf5Builder {
 public:
  explicit Hdf5Builder(const std::filesystem::path& path) : path_(path) {
    const hid_t list = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(list, 512);
    file_ = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, list, H5P_DEFAULT);
    H5Pclose(list);
    if (file_ < 0) throw std::runtime_error("cannot write " + path.string());
    Group("/value");
    Group("/#refs#");
  }
  Hdf5Builder(const Hdf5Builder&) = delete;
  Hdf5Builder& operator=(const Hdf5Builder&) = delete;
  ~Hdf5Builder() { Close(); }

  void Close() {
    if (file_ < 0) return;
    H5Fclose(file_);
    file_ = -1;
    std::fstream block(path_, std::ios::in | std::ios::out | std::ios::binary);
    block << "MATLAB 7.3 MAT-file";
  }

  void Group(const char* name) {
    H5Gclose(H5Gcreate2(file_, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }

  // Bytes of a shape, packed as MATLAB does when `chunk` is not empty.
  hobj_ref_t Bytes(const std::string& name, const std::vector<hsize_t>& shape,
                   const std::vector<std::uint8_t>& values,
                   const std::vector<hsize_t>& chunk = {}) {
    return Write(name, shape, H5T_NATIVE_UINT8, values.empty() ? nullptr : values.data(), chunk);
  }

  hobj_ref_t References(const std::string& name, const std::vector<hsize_t>& shape,
                        const std::vector<hobj_ref_t>& values) {
    return Write(name, shape, H5T_STD_REF_OBJ, values.empty() ? nullptr : values.data(), {});
  }

  hobj_ref_t Write(const std::string& name, const std::vector<hsize_t>& shape, hid_t type,
                   const void* values, const std::vector<hsize_t>& chunk, hid_t list = -1) {
    const bool own = list < 0;
    if (own) list = H5Pcreate(H5P_DATASET_CREATE);
    if (!chunk.empty()) {
      H5Pset_chunk(list, static_cast<int>(chunk.size()), chunk.data());
      H5Pset_deflate(list, 3);
    }
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t set = H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (set < 0) throw std::runtime_error("cannot make " + name);
    if (values != nullptr) H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
    H5Sclose(space);
    if (own) H5Pclose(list);
    hobj_ref_t reference = 0;
    H5Rcreate(&reference, file_, name.c_str(), H5R_OBJECT, -1);
    return reference;
  }

  hid_t file() const { return file_; }

 private:
  std::filesystem::path path_;
  hid_t file_ = -1;
};

// gtsegs_ijcv.mat with pictures of 3 x 2 and 1 x 4 pixels (width x height). Pixel (x, y), channel c
// of picture i is 100 i + 40 c + 10 x + y; the mask's pixels are (x + y + i) odd.
inline void WriteSegmentationFile(const std::filesystem::path& path, bool packed = true) {
  Hdf5Builder builder(path);
  std::vector<hobj_ref_t> pictures;
  std::vector<hobj_ref_t> masks;
  const std::array<std::array<hsize_t, 2>, 2> sizes = {{{3, 2}, {1, 4}}};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [w, h] = sizes[i];
    std::vector<std::uint8_t> picture;
    std::vector<std::uint8_t> mask;
    for (std::size_t c = 0; c < 3; ++c) {
      for (hsize_t x = 0; x < w; ++x) {
        for (hsize_t y = 0; y < h; ++y) {
          picture.push_back(static_cast<std::uint8_t>(100 * i + 40 * c + 10 * x + y));
          if (c == 0) mask.push_back(static_cast<std::uint8_t>((x + y + i) % 2));
        }
      }
    }
    const std::string n = std::to_string(i);
    pictures.push_back(
        builder.Bytes("/#refs#/p" + n, {3, w, h}, picture,
                      packed ? std::vector<hsize_t>{3, w, h} : std::vector<hsize_t>{}));
    const hobj_ref_t inner = builder.Bytes("/#refs#/m" + n, {w, h}, mask);
    masks.push_back(builder.References("/#refs#/c" + n, {1, 1}, {inner}));
  }
  builder.References("/value/img", {2, 1}, pictures);
  builder.References("/value/gt", {2, 1}, masks);
}

}  // namespace cliplens
