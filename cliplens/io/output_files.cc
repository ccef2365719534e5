#include "cliplens/io/output_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cliplens/base/array.h"
#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/open_file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

// By the name's hash, so that a name may be as long as the file system allows.
fs::path HiddenPath(const fs::path& path) {
  const std::string name = path.filename().native();
  const std::string hash = HashBytes(AsBytes(name));
  return path.parent_path() / fmt::format(".cliplens-{}.partial", hash.substr(0, 16));
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Whether the file has its hidden name beside its own.
bool HasBothNames(const fs::path& path) {
  struct stat own;
  struct stat hidden;
  return ::lstat(path.c_str(), &own) == 0 && ::lstat(HiddenPath(path).c_str(), &hidden) == 0 &&
         SameFile(own, hidden);
}

[[noreturn]] void ThrowExists(const fs::path& path) {
  throw Error(ErrorCode::kPrecondition, "{}: exists already; name a new file or remove this one",
              PathText(path));
}

// A file system without locks answers with another error; there nothing keeps two runs apart.
void LockOrThrow(int descriptor, const fs::path& path) {
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  throw Error(ErrorCode::kPrecondition,
              "{}: another run is writing it now; wait until it is done, or name another file",
              PathText(path));
}

// Whether the open file still has this name.
bool HasName(const Descriptor& file, const fs::path& path) {
  struct stat mine;
  struct stat there;
  return ::fstat(file.get(), &mine) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         SameFile(mine, there);
}

// Takes away what a run left that was cut off: its hidden file and, where that has it, the name.
void RemoveLeft(const fs::path& path, const fs::path& hidden) {
  const Descriptor file(::open(hidden.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return;
    ThrowFileError(hidden, "cannot open", errno);
  }
  LockOrThrow(file.get(), path);
  if (!HasName(file, hidden)) return;  // another run was faster
  if (HasBothNames(path) && ::unlink(path.c_str()) != 0 && errno != ENOENT) {
    ThrowFileError(path, "cannot remove", errno);
  }
  if (::unlink(hidden.c_str()) != 0 && errno != ENOENT) {
    ThrowFileError(hidden, "cannot remove", errno);
  }
}

// A new hidden file, locked. Until it is locked, another run may take it for one that was left.
Descriptor CreateHidden(const fs::path& path, const fs::path& hidden) {
  constexpr int kAttempts = 100;  // against runs that come and go
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Descriptor file(::open(hidden.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.get() >= 0) {
      LockOrThrow(file.get(), path);
      if (HasName(file, hidden)) return file;
    } else if (errno == EEXIST) {
      RemoveLeft(path, hidden);
    } else if (errno != EINTR) {
      ThrowFileError(path, "cannot create", errno);
    }
  }
  ThrowFileError(path, "cannot create", EEXIST);
}

}  // namespace

bool IsTaken(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

void RefuseExisting(const fs::path& path) {
  if (IsTaken(path)) ThrowExists(path);
}

class OutputFiles::Part {
 public:
  explicit Part(const fs::path& path)
      : path_(path), hidden_(HiddenPath(path)), file_(CreateHidden(path_, hidden_)) {}

  ~Part() {
    if (done_) return;
    if (named_) ::unlink(path_.c_str());
    if (!moved_) ::unlink(hidden_.c_str());
  }

  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  const fs::path& path() const { return path_; }

  void Write(std::span<const std::uint8_t> bytes) {
    written_ = true;
    WriteAll(file_.get(), path_, bytes);
  }

  void Sync() {
    if (!written_) throw Error(ErrorCode::kInternal, "{}: nothing was written", PathText(path_));
    // A disk may report that it is full as late as here.
    if (::fsync(file_.get()) != 0) ThrowFileError(path_, "cannot write", errno);
  }

  void GiveName() {
    if (::link(hidden_.c_str(), path_.c_str()) == 0) {
      named_ = true;
      return;
    }
    if (errno == EEXIST) ThrowExists(path_);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) {
      ThrowFileError(path_, "cannot write", errno);
    }
    RefuseExisting(path_);
    if (::rename(hidden_.c_str(), path_.c_str()) != 0) {
      ThrowFileError(path_, "cannot rename to", errno);
    }
    named_ = moved_ = true;
  }

  // From here on the file stays.
  void Keep() { done_ = true; }

  void TakeHiddenName() {
    if (!moved_ && ::unlink(hidden_.c_str()) != 0 && errno != ENOENT) {
      ThrowFileError(hidden_, "cannot remove", errno);
    }
  }

 private:
  fs::path path_, hidden_;
  Descriptor file_;
  bool written_ = false;
  bool named_ = false;  // has its own name
  bool moved_ = false;  // and no hidden one
  bool done_ = false;
};

OutputFiles::OutputFiles(const std::vector<fs::path>& paths) {
  std::set<fs::path> seen;
  std::vector<fs::path> named;
  for (const fs::path& path : paths) {
    if (path.empty()) continue;
    if (path.filename().empty()) {
      throw Error(ErrorCode::kInvalidArgument, "\"{}\": has no file name; name a file",
                  PathText(path));
    }
    std::error_code ignored;
    const fs::path folder =
        fs::weakly_canonical(path.has_parent_path() ? path.parent_path() : ".", ignored);
    if (!seen.insert(folder / path.filename()).second) {
      throw Error(ErrorCode::kInvalidArgument, "{}: is named for two files; name two",
                  PathText(path));
    }
    named.push_back(path);
  }
  // All are looked at before anything is touched.
  for (const fs::path& path : named) {
    if (IsTaken(path) && !HasBothNames(path)) ThrowExists(path);
  }
  for (const fs::path& path : named) parts_.push_back(std::make_unique<Part>(path));
}

OutputFiles::~OutputFiles() = default;

void OutputFiles::Write(const fs::path& path, std::span<const std::uint8_t> bytes) {
  if (path.empty()) return;
  const auto part = std::ranges::find_if(parts_, [&](const auto& p) { return p->path() == path; });
  if (part == parts_.end()) {
    throw Error(ErrorCode::kInternal, "{}: is none of the files that were announced",
                PathText(path));
  }
  (*part)->Write(bytes);
}

void OutputFiles::Write(const fs::path& path, std::string_view text) { Write(path, AsBytes(text)); }

void OutputFiles::Commit() {
  std::set<fs::path> folders;
  for (const auto& part : parts_) {
    part->Sync();
    folders.insert(part->path().parent_path());
  }
  for (const auto& part : parts_) part->GiveName();
  for (const fs::path& folder : folders) SyncDirectory(folder);
  for (const auto& part : parts_) part->Keep();
  for (const auto& part : parts_) part->TakeHiddenName();
  for (const fs::path& folder : folders) SyncDirectory(folder);
}

bool OutputFiles::Exists(const fs::path& path) {
  return cliplens::Exists(path) && !HasBothNames(path);
}

}  // namespace cliplens
