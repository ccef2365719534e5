// Tar archives, as WebDataset shards are: the members of a file that is already in memory or
// mapped.
//
//   const MappedFile file("test-000.tar");
//   TarReader reader(file.bytes(), "test-000.tar");
//   while (const std::optional<TarMember> member = reader.Next()) {
//     Use(member->name, file.bytes().subspan(member->offset, member->size));
//   }
//
// Read are ustar with GNU's long names and pax's `path` and `size`. Archives are hostile: checksums
// and sizes are checked against the file before use, and the end marker must be there, so that an
// archive that was cut off is found out. Nothing is ever unpacked: names serve as labels only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cliplens/base/array.h"

namespace cliplens {

struct TarMember {
  std::string name;  // "a/000017.png": without "./" and "/" in front, never with ".." in it
  Index offset = 0;  // of the content, in the archive
  Index size = 0;    // of the content, in bytes; offset + size lies within the archive
};

class TarReader {
 public:
  // `bytes` must outlive the reader; `name` stands in the messages.
  TarReader(std::span<const std::uint8_t> bytes, std::string name);

  // The next regular file; folders, links and devices are passed over. Nothing after the last one.
  // Throws Error(kCorruptData) for an archive that contradicts itself or is cut off,
  // Error(kUnsupported) for one that is compressed or has sparse or split members.
  std::optional<TarMember> Next();

 private:
  struct Override {
    std::optional<std::string> name;
    std::optional<Index> size;
  };

  std::span<const std::uint8_t> Content(Index header, Index size) const;
  void ReadPax(std::span<const std::uint8_t> content, Index header, bool global,
               Override* override) const;
  void CheckEnd() const;

  std::span<const std::uint8_t> bytes_;
  std::string name_;
  Index at_ = 0;  // the next header
};

}  // namespace cliplens
