// The safetensors format: an 8-byte header length, a JSON header, raw little-endian tensors.
//
//   const SafetensorsFile file("open_clip_model.safetensors");
//   const TensorEntry& t = file.at("visual.proj");
//   std::vector<float> values = file.ReadAsFloat(t);
//
// Files are hostile: header length, offsets, shapes and types are checked against the file's size
// before use; tensors must cover the data exactly, without gaps or overlaps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/data_type.h"
#include "cliplens/io/file.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {

struct TensorEntry {
  std::string name;
  DataType type = DataType::kF32;
  std::vector<Index> shape;
  std::span<const std::uint8_t> bytes;  // none of a SafetensorsFile's
  Index offset = 0;                     // of the bytes in the file
};

// Tensors in this format, wherever the bytes lie. The bytes must outlive this.
class SafetensorsView {
 public:
  // `name` stands in messages. Throws Error(kCorruptData) for bytes that break the format,
  // Error(kUnsupported) for a type that is not read, Error(kExhausted) for an oversized header.
  SafetensorsView(std::span<const std::uint8_t> bytes, std::string name);
  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  // Error(kNotFound) that names the file and the tensor.
  const TensorEntry& at(const std::string& name) const;
  const std::string& name() const { return name_; }

 private:
  friend class SafetensorsFile;
  // Of a file of which only the header is there.
  explicit SafetensorsView(const RandomAccessFile& file);
  void ReadHeader(std::string_view text, Index size);

  std::string name_;
  std::map<std::string, TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Tensors in a file, read when they are asked for. A file that was cut off meanwhile is an
// Error(kCorruptData).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorEntry>& tensors() const { return view_.tensors(); }
  const std::map<std::string, std::string>& metadata() const { return view_.metadata(); }
  bool contains(const std::string& name) const { return view_.contains(name); }
  const TensorEntry& at(const std::string& name) const { return view_.at(name); }
  const std::filesystem::path& path() const { return file_.path(); }

  // As the functions below, of a tensor of this file.
  std::vector<float> ReadAsFloat(const TensorEntry& tensor) const;
  std::vector<double> ReadNumbers(const TensorEntry& tensor) const;
  // `count` of its values, from number `first` on.
  std::vector<float> ReadAsFloat(const TensorEntry& tensor, Index first, Index count) const;

 private:
  RandomAccessFile file_;
  SafetensorsView view_;
};

// `count` values of floating type that lie at `offset` of a file; `name` stands in messages.
std::vector<float> ReadAsFloat(const RandomAccessFile& file, Index offset, DataType type,
                               Index count, const std::string& name);
// Values of a tensor of floating type (data_type.h); Error(kUnsupported) for another type.
std::vector<float> ReadAsFloat(const TensorEntry& tensor);
// Values of a tensor of any type; whole numbers above 2^53 are rounded.
std::vector<double> ReadNumbers(const TensorEntry& tensor);

// A tensor to be written; `bytes` in little-endian order, shape row-major.
struct TensorToWrite {
  std::string name;
  DataType type = DataType::kF32;
  std::vector<Index> shape;
  std::span<const std::uint8_t> bytes;
};

// Writes atomically; data start at a multiple of 64 bytes. Returns the checksum of the whole file.
std::string WriteSafetensors(const std::filesystem::path& path,
                             std::span<const TensorToWrite> tensors,
                             const std::map<std::string, std::string>& metadata = {});
// The bytes that WriteSafetensors writes.
std::vector<std::uint8_t> SafetensorsBytes(std::span<const TensorToWrite> tensors,
                                           const std::map<std::string, std::string>& metadata = {});

}  // namespace cliplens
