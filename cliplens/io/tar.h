// The members of a tar archive, such as a WebDataset shard, in memory or in a file.
//
//   const RandomAccessFile file("test-000.tar");
//   TarReader reader(file, "test-000.tar");
//   while (const std::optional<TarMember> member = reader.Next()) {
//     Use(member->name, member->offset, member->size);   // the content is not read
//   }
//
// The reader knows ustar, GNU's long names, and pax's `path` and `size`. Archives are hostile:
// checksums and sizes are checked against the file before use, and an archive without an end marker
// is refused, since it was cut off. Only headers are read, so an archive of any size takes no
// memory. Nothing is written to disk: names only serve as labels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {

struct TarMember {
  std::string
      name;  // "a/000017.png": as bytes, without "./" and "/" in front, never with ".." in it
  Index offset = 0;  // of the content, in the archive
  Index size = 0;    // of the content, in bytes; offset + size lies within the archive
};

class TarReader {
 public:
  // `bytes` and `file` must outlive the reader; `name` stands in the messages.
  TarReader(std::span<const std::uint8_t> bytes, std::string name);
  TarReader(const RandomAccessFile& file, std::string name);

  // The next regular file, or nothing after the last one. Folders, links and devices are skipped.
  // Throws Error(kCorruptData) for an archive that contradicts itself or is cut off,
  // Error(kUnsupported) for one that is compressed or has sparse or split members.
  std::optional<TarMember> Next();

 private:
  struct Override {
    std::optional<std::string> name;
    std::optional<Index> size;
  };

  // The bytes from `at` on, until the next call. They lie in the archive.
  std::span<const std::uint8_t> Get(Index at, Index count);
  void CheckCompression();
  // `header`: where a member's header begins.
  std::optional<std::span<const std::uint8_t>> NextHeader();
  void CheckContent(Index header, Index size) const;
  void ReadExtension(std::span<const std::uint8_t> content, char type, Index header,
                     Override* override) const;
  void ReadPax(std::span<const std::uint8_t> content, Index header, bool global,
               Override* override) const;
  std::string RelativeName(const std::string& name, Index header) const;
  void CheckEnd();

  std::span<const std::uint8_t> bytes_;     // of an archive in memory
  const RandomAccessFile* file_ = nullptr;  // or where it lies
  std::vector<std::uint8_t> buffer_;        // what was read of it last
  Index size_ = 0;
  std::string name_;
  Index at_ = 0;  // the next header
};

}  // namespace cliplens
