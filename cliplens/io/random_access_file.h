// A file from which bytes are read at the places that are asked for. Unlike one that is mapped, it
// may be cut shorter meanwhile.
//
//   const RandomAccessFile file("test-000.tar");
//   std::vector<std::uint8_t> content(100);
//   file.Read(/*offset=*/512, content);
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "cliplens/base/array.h"
#include "cliplens/io/open_file.h"

namespace cliplens {

class RandomAccessFile {
 public:
  // Errors as ReadFile with FileKind::kRegular.
  explicit RandomAccessFile(const std::filesystem::path& path);
  Index size() const { return size_; }
  // Fills `out` with the bytes from `offset` on. Thread-safe. Throws Error(kCorruptData) if the
  // file ends before.
  void Read(Index offset, std::span<std::uint8_t> out) const;

 private:
  std::filesystem::path path_;
  struct stat status_ = {};
  Descriptor file_;
  Index size_ = 0;
};

}  // namespace cliplens
