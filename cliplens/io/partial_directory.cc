#include "cliplens/io/partial_directory.h"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

fs::path WithoutSlash(const fs::path& directory) {
  return directory.has_filename() ? directory : directory.parent_path();
}

[[noreturn]] void ThrowLocked(const fs::path& partial) {
  throw Error(ErrorCode::kPrecondition,
              "{}: another run is writing it now; wait until it is done, or name another directory",
              partial.string());
}

int OpenDirectory(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) ThrowFileError(path, "cannot open", errno);
  return descriptor;
}

}  // namespace

fs::path PartialDirectory::PartialPath(const fs::path& directory) {
  fs::path partial = WithoutSlash(directory);
  partial += ".partial";
  return partial;
}

PartialDirectory::PartialDirectory(const fs::path& directory, Mode mode,
                                   const std::string& next_step)
    : final_(WithoutSlash(directory)), partial_(PartialPath(directory)) {
  RefuseAddress(directory);
  if (IsTaken(final_)) {
    throw Error(ErrorCode::kPrecondition,
                "{}: exists already; name a new directory or remove this one", final_.string());
  }
  std::error_code error;
  if (!IsTaken(partial_)) {
    if (!fs::create_directory(partial_, error)) {
      // Made by another run since the look above.
      if (!error) ThrowLocked(partial_);
      const bool missing = error == std::errc::no_such_file_or_directory;
      throw Error(missing ? ErrorCode::kNotFound : ErrorCode::kPrecondition,
                  "{}: cannot make this directory ({}); {}", partial_.string(), error.message(),
                  missing ? "make its parent first" : "check the permissions of its parent");
    }
    try {
      descriptor_ = OpenDirectory(partial_);
    } catch (...) {
      // Nothing is in it, and the next run is not to take it for the work of one that was cut off.
      fs::remove(partial_, error);
      throw;
    }
    Lock();
    return;
  }
  if (!fs::is_directory(partial_, error)) {
    throw Error(ErrorCode::kPrecondition, "{}: is in the way; remove it or name another directory",
                partial_.string());
  }
  descriptor_ = OpenDirectory(partial_);
  Lock();
  if (mode == Mode::kNew) {
    ::close(descriptor_);
    throw Error(ErrorCode::kPrecondition, "{}: left by a run that was cut off; {}",
                partial_.string(), next_step);
  }
  resumed_ = true;
  keep_ = true;
}

void PartialDirectory::Lock() {
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor_);
    ThrowLocked(partial_);
  }
  // Another run may have finished it, or dropped it, before the lock was taken.
  struct stat mine;
  struct stat there;
  if (::fstat(descriptor_, &mine) != 0 || ::stat(partial_.c_str(), &there) != 0 ||
      mine.st_ino != there.st_ino || mine.st_dev != there.st_dev || IsTaken(final_)) {
    ::close(descriptor_);
    throw Error(ErrorCode::kPrecondition,
                "{}: another run has finished or removed it meanwhile; look at {} and run again",
                partial_.string(), final_.string());
  }
}

PartialDirectory::~PartialDirectory() {
  if (!committed_ && !keep_) {
    std::error_code ignored;
    fs::remove_all(partial_, ignored);
  }
  ::close(descriptor_);
}

void PartialDirectory::Commit() {
  std::error_code error;
  fs::rename(partial_, final_, error);
  if (error) {
    throw Error(ErrorCode::kPrecondition, "{}: cannot be renamed to {} ({})", partial_.string(),
                final_.string(), error.message());
  }
  committed_ = true;
  try {
    SyncDirectory(final_.parent_path());
  } catch (const Error& failed) {
    throw Error(failed.code(), "{}: is whole, but its name may not outlast a power cut: {}",
                PathText(final_), failed.what());
  }
}

}  // namespace cliplens
