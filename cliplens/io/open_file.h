// Descriptors: the one place where files are opened for reading, and the one loop that writes.
//
//   struct stat status;
//   const Descriptor file = OpenForReading("weights.bin", FileKind::kRegular, &status);
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "cliplens/io/file.h"

namespace cliplens {

// An open file, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

// Opens a file, and tells its status. What is no file is refused at once, before it is opened where
// that can be told: opening may wait, and opening a device may have effects. Errors as ReadFile.
Descriptor OpenForReading(const std::filesystem::path& path, FileKind kind, struct stat* status);

// Writes all of `bytes` to an open file; `path` stands in errors, which are as AtomicFile's.
void WriteAll(int descriptor, const std::filesystem::path& path,
              std::span<const std::uint8_t> bytes);

}  // namespace cliplens
