#include "cliplens/io/file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cliplens/base/error.h"
#include "cliplens/io/open_file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

[[noreturn]] void ThrowTooLarge(const std::filesystem::path& path, Index size, Index max_bytes) {
  throw Error(ErrorCode::kExhausted,
              "{}: has {} bytes or more, at most {} are read; split the file", PathText(path), size,
              max_bytes);
}

template <typename Container>
Container ReadWhole(const std::filesystem::path& path, Index max_bytes, FileKind kind) {
  struct stat status;
  const Descriptor file = OpenForReading(path, kind, &status);
  if (S_ISREG(status.st_mode) && status.st_size > max_bytes) {
    ThrowTooLarge(path, status.st_size, max_bytes);
  }
  // Pipes and growing files have no fixed size, so the bytes are counted as they come. One byte
  // more than expected is read, to see the end of the file.
  constexpr Index kChunk = Index{64} << 10;
  Container out;
  Index used = 0;
  Index room = S_ISREG(status.st_mode) ? Index{status.st_size} + 1 : kChunk;
  while (true) {
    if (used == room) room += std::max(kChunk, room / 2);
    if (static_cast<Index>(out.size()) < room) out.resize(ToSize(room));
    const ssize_t got = ::read(file.get(), out.data() + used, ToSize(room - used));
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        throw Error(ErrorCode::kInvalidArgument,
                    "{}: has no end to read to; copy what is wanted to a file first",
                    PathText(path));
      }
      ThrowFileError(path, "cannot read", errno);
    }
    if (got == 0) break;
    used += got;
    if (used > max_bytes) ThrowTooLarge(path, used, max_bytes);
  }
  out.resize(ToSize(used));
  return out;
}

}  // namespace

bool IsAddress(const std::filesystem::path& path) {
  const std::string& text = path.native();
  const std::size_t colon = text.find("://");
  return colon != std::string::npos && colon > 1 &&
         std::ranges::all_of(text.substr(0, colon), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

void RefuseAddress(const std::filesystem::path& path) {
  if (!IsAddress(path)) return;
  const bool web = path.native().starts_with("http");
  throw Error(ErrorCode::kUnsupported,
              "{}: is an address, and the program reads and writes local files; {}", PathText(path),
              web ? "download it first"
                  : "copy what lies there first (python -m cliplens.ray copy FROM TO), or let "
                    "cliplens.ray work on it");
}

void ThrowFileError(const std::filesystem::path& path, const char* action, int code) {
  RefuseAddress(path);
  const std::string name = PathText(path);
  const std::string reason = std::generic_category().message(code);
  switch (code) {
    case ENOENT:
    case ENOTDIR:
      throw Error(ErrorCode::kNotFound, "{}: {}: {}; check the path", name, action, reason);
    case EISDIR:
      throw Error(ErrorCode::kInvalidArgument, "{}: is a directory; name a file", name);
    case ENAMETOOLONG:
    case ELOOP:
    case EINVAL:
      throw Error(ErrorCode::kInvalidArgument, "{}: {}: {}; name another file", name, action,
                  reason);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      throw Error(ErrorCode::kExhausted, "{}: {}: {}; free space or write elsewhere", name, action,
                  reason);
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      throw Error(ErrorCode::kExhausted, "{}: {}: {}; raise the limit or do less at once", name,
                  action, reason);
    case EACCES:
    case EPERM:
    case EROFS:
      throw Error(ErrorCode::kPrecondition, "{}: {}: {}; change the permissions or name another",
                  name, action, reason);
    default:
      throw Error(ErrorCode::kPrecondition, "{}: {}: {}; check the disk and try again", name,
                  action, reason);
  }
}

std::vector<std::uint8_t> ReadFile(const std::filesystem::path& path, Index max_bytes,
                                   FileKind kind) {
  return ReadWhole<std::vector<std::uint8_t>>(path, max_bytes, kind);
}

std::string ReadTextFile(const std::filesystem::path& path, Index max_bytes, FileKind kind) {
  return ReadWhole<std::string>(path, max_bytes, kind);
}

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::status(path, ignored).type() != std::filesystem::file_type::not_found;
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  struct stat status;
  const Descriptor file = OpenForReading(path, FileKind::kRegular, &status);
  const auto size = ToSize(status.st_size);
  if (size == 0) return;  // mmap refuses a length of 0; the empty span stands for the empty file
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) ThrowFileError(path, "cannot map", errno);
  bytes_ = {static_cast<const std::uint8_t*>(data), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

void MappedFile::Release() const {
  if (bytes_.empty()) return;
  // Advice only: where it is refused the pages stay until the system wants them.
  (void)::madvise(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void SyncDirectory(std::filesystem::path directory) {
  if (directory.empty()) directory = ".";
  // Some file systems cannot sync a directory (EINVAL) and some directories cannot be opened for
  // reading; the files in it are complete all the same.
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  const int synced = ::fsync(descriptor);
  const int code = errno;
  ::close(descriptor);
  if (synced != 0 && code == EIO) ThrowFileError(directory, "cannot sync", code);
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  std::error_code ignored;
  // A link keeps pointing where it does, and what it points to is replaced.
  if (std::filesystem::is_symlink(path_, ignored)) {
    const std::filesystem::path target = std::filesystem::canonical(path_, ignored);
    if (!ignored) path_ = target;
  }
  const std::filesystem::file_status status = std::filesystem::status(path_, ignored);
  if (std::filesystem::is_directory(status)) {
    throw Error(ErrorCode::kInvalidArgument, "{}: is a directory; name a file", PathText(path_));
  }
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: is a pipe or a device, which a rename would replace; name a file",
                PathText(path_));
  }
  if (path_.filename().empty()) {
    throw Error(ErrorCode::kInvalidArgument, "\"{}\": has no file name; name a file",
                PathText(path_));
  }
  static std::atomic<std::uint64_t> counter{0};
  // If the name is taken, a killed process with the same id left it.
  for (int attempt = 0; attempt < 1000 && descriptor_ < 0; ++attempt) {
    temporary_ =
        path_.parent_path() / fmt::format(".cliplens-{}-{}.tmp", ::getpid(), counter.fetch_add(1));
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST && errno != EINTR) {
      ThrowFileError(path_, "cannot create", errno);
    }
  }
  if (descriptor_ < 0) ThrowFileError(path_, "cannot create a temporary file", EEXIST);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::Write(std::span<const std::uint8_t> bytes) {
  if (descriptor_ < 0) {
    throw Error(ErrorCode::kInternal, "{}: written to after Commit()", PathText(path_));
  }
  WriteAll(descriptor_, path_, bytes);
}

void AtomicFile::Write(std::string_view text) { Write(AsBytes(text)); }

void AtomicFile::Commit() {
  if (descriptor_ < 0) throw Error(ErrorCode::kInternal, "{}: committed twice", PathText(path_));
  // A full disk may be reported only here.
  if (::fsync(descriptor_) != 0) ThrowFileError(path_, "cannot write", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    ThrowFileError(path_, "cannot rename to", errno);
  }
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) ThrowFileError(path_, "cannot write", errno);
  SyncDirectory(path_.parent_path());
}

void WriteFileAtomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
  AtomicFile file(path);
  file.Write(bytes);
  file.Commit();
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view text) {
  WriteFileAtomically(path, AsBytes(text));
}

Hasher::Hasher() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw Error(ErrorCode::kExhausted, "no memory for a checksum");
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_));
}

Hasher::~Hasher() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }

void Hasher::Update(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
}

void Hasher::Update(std::string_view text) { Update(AsBytes(text)); }

std::string Hasher::Digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_));
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string HashBytes(std::span<const std::uint8_t> bytes) {
  Hasher hasher;
  hasher.Update(bytes);
  return hasher.Digest();
}

}  // namespace cliplens
