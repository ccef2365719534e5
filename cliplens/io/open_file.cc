#include "cliplens/io/open_file.h"

#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// What `status` is that is never read, or nothing for a regular file and a pipe.
const char* UnreadableKind(const struct stat& status, int descriptor) {
  if (S_ISREG(status.st_mode)) {
    // Its files have no size, but for /proc/kcore.
    static const dev_t kProc = [] {
      struct stat proc;
      return ::stat("/proc", &proc) == 0 ? proc.st_dev : dev_t{};
    }();
    if (status.st_size > 0 && status.st_dev != kProc) return nullptr;
    struct statfs system;
    const bool kernel = ::fstatfs(descriptor, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
    return kernel ? "file of the kernel" : nullptr;
  }
  if (S_ISFIFO(status.st_mode)) return nullptr;
  if (S_ISSOCK(status.st_mode)) return "socket";
  if (S_ISCHR(status.st_mode) && ::isatty(descriptor) != 0) return "terminal";
  return "device";  // without an end (/dev/zero), or a whole disk
}

// Pipes of the shell, <(command), have no name in a directory.
bool IsUnnamedPipe(int descriptor) {
  struct statfs system;
  return ::fstatfs(descriptor, &system) == 0 && system.f_type == PIPEFS_MAGIC;
}

[[noreturn]] void ThrowNoFile(const std::filesystem::path& path, const char* what,
                              const char* next) {
  throw Error(ErrorCode::kInvalidArgument, "{}: is a {}, where a file is wanted; {}",
              PathText(path), what, next);
}

Descriptor OpenStandardInput(const std::filesystem::path& path) {
  static std::atomic<bool> taken = false;
  if (taken.exchange(true)) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: standard input can be read once; name files for the others", PathText(path));
  }
  Descriptor input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  if (input.get() < 0) ThrowFileError(path, "cannot read standard input", errno);
  return input;
}

}  // namespace

Descriptor OpenForReading(const std::filesystem::path& path, FileKind kind, struct stat* status) {
  const bool standard_input = kind == FileKind::kRegularOrPipe && path == "-";
  constexpr const char* kCopy = "copy what is wanted to a file first";
  if (!standard_input) {
    if (::stat(path.c_str(), status) != 0) ThrowFileError(path, "cannot open", errno);
    if (S_ISSOCK(status->st_mode)) ThrowNoFile(path, "socket", kCopy);
    if (S_ISBLK(status->st_mode)) ThrowNoFile(path, "device", kCopy);
  }
  int opened = -1;
  while (!standard_input && opened < 0) {
    opened = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0 && errno != EINTR) ThrowFileError(path, "cannot open", errno);
  }
  Descriptor file = standard_input ? OpenStandardInput(path) : Descriptor(opened);
  if (::fstat(file.get(), status) != 0) ThrowFileError(path, "cannot stat", errno);
  if (S_ISDIR(status->st_mode)) ThrowFileError(path, "cannot read", EISDIR);
  if (const char* what = UnreadableKind(*status, file.get())) ThrowNoFile(path, what, kCopy);
  if (S_ISFIFO(status->st_mode)) {
    if (kind == FileKind::kRegular) ThrowNoFile(path, "pipe", kCopy);
    if (!standard_input) {
      if (!IsUnnamedPipe(file.get())) {
        ThrowNoFile(path, "pipe", "name it as - and lead it to standard input: < PIPE");
      }
      // Its writer is there already, and is waited for.
      const int flags = ::fcntl(file.get(), F_GETFL);
      if (flags < 0 || ::fcntl(file.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
        ThrowFileError(path, "cannot open", errno);
      }
    }
  }
  return file;
}

void WriteAll(int descriptor, const std::filesystem::path& path,
              std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      ThrowFileError(path, "cannot write", errno);
    }
    bytes = bytes.subspan(ToSize(written));
  }
}

}  // namespace cliplens
