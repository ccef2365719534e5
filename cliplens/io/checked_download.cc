#include "cliplens/io/checked_download.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/open_file.h"

namespace cliplens {

namespace fs = std::filesystem;

void MakeDirectories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) ThrowFileError(directory, "cannot make this directory", error.value());
}

void FetchChecked(const CheckedDownload& download) {
  MakeDirectories(download.file.parent_path());
  MakeDirectories(download.lock.parent_path());
  const Descriptor lock(::open(download.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (lock.get() < 0) ThrowFileError(download.lock, "cannot open", errno);
  // Where the file system knows no locks two runs may write the same, and the check tells.
  const auto locked = [&](int how) {
    int result = 0;
    do {
      result = ::flock(lock.get(), how);
    } while (result != 0 && errno == EINTR);
    return result == 0;
  };
  if (!locked(LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
    if (download.on_wait) download.on_wait();
    locked(LOCK_EX);
  }
  std::error_code error;
  if (fs::exists(download.file, error)) return;
  fs::path part = download.file;
  part += ".incomplete";
  const bool resumed = fs::exists(part, error);
  const auto fetch = [&] {
    const HttpAnswer answer = HttpDownload(download.url, download.http, part, download.size,
                                           download.max_bytes, download.progress);
    if (answer.status != 200 && answer.status != 206) {
      if (fs::file_size(part, error) == 0) fs::remove(part, error);
      download.refuse(answer);
    }
    try {
      download.check(part);
    } catch (const Error&) {
      fs::remove(part, error);
      throw;
    }
  };
  try {
    fetch();
  } catch (const Error& failed) {
    // What an earlier run left may have been broken.
    if (!resumed || failed.code() != ErrorCode::kCorruptData) throw;
    fs::remove(part, error);
    fetch();
  }
  fs::rename(part, download.file, error);
  if (error) ThrowFileError(download.file, "cannot rename to", error.value());
  SyncDirectory(download.file.parent_path());
}

}  // namespace cliplens
