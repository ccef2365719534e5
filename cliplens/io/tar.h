// The members of a tar archive, such as a WebDataset shard, that is in memory or mapped.
//
//   const MappedFile file("test-000.tar");
//   TarReader reader(file.bytes(), "test-000.tar");
//   while (const std::optional<TarMember> member = reader.Next()) {
//     Use(member->name, file.bytes().subspan(member->offset, member->size));
//   }
//
// The reader knows ustar, GNU's long names, and pax's `path` and `size`. Archives are hostile:
// checksums and sizes are checked against the file before use, and an archive without an end marker
// is refused, since it was cut off. Nothing is written to disk: names only serve as labels.
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

  // The next regular file, or nothing after the last one. Folders, links and devices are skipped.
  // Throws Error(kCorruptData) for an archive that contradicts itself or is cut off,
  // Error(kUnsupported) for one that is compressed or has sparse or split members.
  std::optional<TarMember> Next();

 private:
  struct Override {
    std::optional<std::string> name;
    std::optional<Index> size;
  };

  // `header`: where a member's header begins.
  std::optional<std::span<const std::uint8_t>> NextHeader() const;
  std::span<const std::uint8_t> Content(Index header, Index size) const;
  void ReadExtension(std::span<const std::uint8_t> content, char type, Index header,
                     Override* override) const;
  void ReadPax(std::span<const std::uint8_t> content, Index header, bool global,
               Override* override) const;
  std::string RelativeName(const std::string& name, Index header) const;
  void CheckEnd() const;

  std::span<const std::uint8_t> bytes_;
  std::string name_;
  Index at_ = 0;  // the next header
};

}  // namespace cliplens
