#include "cliplens/io/random_access_file.h"

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

}  // namespace cliplens
