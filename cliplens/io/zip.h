// A zip archive for reading, over libzip.
//
//   const ZipArchive zip("epoch_3.pt");
//   if (const ZipEntry* e = zip.Find("archive/data.pkl")) Use(zip.Read(*e, 0, e->size));
//
// Archives are hostile: sizes are checked before memory is allocated, a deflated entry is read only
// up to the size that it declares, and a name that occurs twice is refused. Only stored and
// deflated entries are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

struct ZipEntry {
  std::string name;
  Index size = 0;  // uncompressed
  Index number = 0;
  bool stored = true;
  // The checksum that the archive gives; 0 where its writer computed none.
  std::uint32_t crc = 0;
};

// One thread at a time.
class ZipArchive {
 public:
  // Throws Error(kCorruptData) for what is no zip archive or contradicts itself, Error(kExhausted)
  // above 1,000,000 entries, and the errors of an open file.
  explicit ZipArchive(const std::filesystem::path& path);
  ~ZipArchive();
  ZipArchive(ZipArchive&&) noexcept;
  ZipArchive& operator=(ZipArchive&&) noexcept;

  // In the order of the archive's directory; directories themselves are left out.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* Find(const std::string& name) const;  // null if there is none

  // `count` bytes of an entry from `offset` on; nothing else of it stays in memory. The checksum is
  // verified when the whole entry is read and the archive gives one. Throws Error(kUnsupported) for
  // another compression or encryption, Error(kCorruptData) when bytes are missing or damaged.
  std::vector<std::uint8_t> Read(const ZipEntry& entry, Index offset, Index count) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Handle;
  std::filesystem::path path_;
  std::unique_ptr<Handle> handle_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace cliplens
