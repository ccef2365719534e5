#include "cliplens/io/random_access_file.h"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {

RandomAccessFile::RandomAccessFile(const std::filesystem::path& path)
    : path_(path),
      file_(OpenForReading(path, FileKind::kRegular, &status_)),
      size_(status_.st_size) {}

void RandomAccessFile::Read(Index offset, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(file_.get(), out.data(), out.size(), offset);
    if (got < 0) {
      if (errno == EINTR) continue;
      ThrowFileError(path_, "cannot read", errno);
    }
    if (got == 0) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: ends at byte {}, where {} more were expected; was it changed? Run again",
                  PathText(path_), offset, out.size());
    }
    offset += got;
    out = out.subspan(ToSize(got));
  }
}

std::vector<std::uint8_t> RandomAccessFile::ReadStart(Index most) const {
  std::vector<std::uint8_t> start(ToSize(std::min(most, size_)));
  Read(0, start);
  return start;
}

void RandomAccessFile::ReadAll(
    const std::function<void(std::span<const std::uint8_t> block)>& take) const {
  constexpr Index kBlock = Index{1} << 20;
  std::vector<std::uint8_t> block(ToSize(std::min(kBlock, size_)));
  for (Index at = 0; at < size_; at += kBlock) {
    block.resize(ToSize(std::min(kBlock, size_ - at)));
    Read(at, block);
    take(block);
  }
}

}  // namespace cliplens
