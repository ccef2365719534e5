// A file from which bytes are read at the places that are asked for. Unlike one that is mapped, it
// may be cut shorter meanwhile.
//
//   const RandomAccessFile file("test-000.tar");
//   std::vector<std::uint8_t> content(100);
//   file.Read(/*offset=*/512, content);
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/open_file.h"

namespace cliplens {

class RandomAccessFile {
 public:
  // Errors as ReadFile with FileKind::kRegular.
  explicit RandomAccessFile(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return path_; }
  Index size() const { return size_; }  // when it was opened
  // Fills `out` with the bytes from `offset` on. Thread-safe. Throws Error(kCorruptData) if the
  // file ends before.
  void Read(Index offset, std::span<std::uint8_t> out) const;
  // The first bytes, `most` or as many as there are.
  std::vector<std::uint8_t> ReadStart(Index most) const;
  // Calls `take(block)` for the whole file, block by block. Throws as Read.
  void ReadAll(const std::function<void(std::span<const std::uint8_t> block)>& take) const;

 private:
  std::filesystem::path path_;
  struct stat status_ = {};
  Descriptor file_;
  Index size_ = 0;
};

}  // namespace cliplens
