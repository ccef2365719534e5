// Files: reading with a bound, mapping, and writing that is never half done.
//
//   const MappedFile file("weights.bin");
//   WriteFileAtomically("copy.bin", file.bytes());   // the whole file, or none
//   Print(HashBytes(file.bytes()));
#pragma once

#include <cstdint>
#include <filesystem>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// The bytes of a text or of numbers that lie together.
template <std::ranges::contiguous_range Range>
requires(!std::is_array_v<Range> && std::is_arithmetic_v<std::ranges::range_value_t<Range>>)
    std::span<const std::uint8_t> AsBytes(const Range& values) {
  return {reinterpret_cast<const std::uint8_t*>(std::ranges::data(values)),
          std::ranges::size(values) * sizeof(*std::ranges::data(values))};
}

// Whether this is no path but an address, "s3://bucket/store".
bool IsAddress(const std::filesystem::path& path);
// Throws Error(kUnsupported) for an address: files are read where they lie.
void RefuseAddress(const std::filesystem::path& path);

// Throws the Error for a failed system call on `path`. `action` says what failed ("cannot open"),
// `code` is its errno.
[[noreturn]] void ThrowFileError(const std::filesystem::path& path, const char* action, int code);

// What may be read. kRegularOrPipe is for what the user names: what comes out of a command, by
// <(...) or as "-" from standard input, too. A pipe that has a name in a directory is never read.
enum class FileKind { kRegular, kRegularOrPipe };

// Reads a whole file of at most `max_bytes`. Errors name the path: kNotFound, kInvalidArgument for
// what is none (directory, device, terminal, socket, pipe, a file of /proc), kExhausted when
// larger, kPrecondition without permission.
std::vector<std::uint8_t> ReadFile(const std::filesystem::path& path, Index max_bytes,
                                   FileKind kind = FileKind::kRegular);
std::string ReadTextFile(const std::filesystem::path& path, Index max_bytes,
                         FileKind kind = FileKind::kRegular);

// Whether the path exists. A path that cannot be examined (a link to itself, a folder without
// permission) counts as existing, so that opening it reports the reason.
bool Exists(const std::filesystem::path& path);

// A file mapped for reading. The bytes live as long as the object and stay in place when it is
// moved. Errors as above. The file must not be cut shorter while it is mapped.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  std::span<const std::uint8_t> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }
  // Drops the pages read so far from this process, so that reading through a large file does not
  // raise its memory. Safe while other threads read: a dropped page is read again.
  void Release() const;

 private:
  std::filesystem::path path_;
  std::span<const std::uint8_t> bytes_;
};

// Writes to a temporary name beside `path`; Commit() syncs and renames, so that `path` holds either
// its former content or the whole of the new one. Without Commit the temporary file is removed.
// Errors name the path (kNotFound for a missing directory, kExhausted for a full disk,
// kPrecondition without permission, kInvalidArgument for a directory, pipe or device).
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void Write(std::span<const std::uint8_t> bytes);
  void Write(std::string_view text);
  void Commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

// Makes renames in a directory ("" for the current one) last through a power cut.
void SyncDirectory(std::filesystem::path directory);

void WriteFileAtomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void WriteFileAtomically(const std::filesystem::path& path, std::string_view text);

// XXH3, 128 bits, as 32 hexadecimal digits: the checksum of stores and the fingerprint of models.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void Update(std::span<const std::uint8_t> bytes);
  void Update(std::string_view text);
  std::string Digest() const;

 private:
  void* state_;
};
std::string HashBytes(std::span<const std::uint8_t> bytes);

}  // namespace cliplens
