#include "cliplens/io/zip.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <zip.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/inflate.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {
namespace {

constexpr Index kMaxEntries = 1'000'000;
// Weights are stored as they are; an archive packed by hand may deflate a tensor of this size, so
// that a small file cannot ask for any amount of memory.
constexpr Index kMaxDeflatedBytes = Index{1} << 30;

struct FileCloser {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

std::string ErrorText(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

}  // namespace

struct ZipArchive::Handle {
  zip_t* zip = nullptr;
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (zip != nullptr) zip_discard(zip);
  }
};

ZipArchive::ZipArchive(const std::filesystem::path& path)
    : path_(path), handle_(std::make_unique<Handle>()) {
  const std::string name = PathText(path);
  {
    const RandomAccessFile readable(path);  // gives the errors of a file that cannot be opened
  }
  int code = 0;
  handle_->zip = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (handle_->zip == nullptr) {
    throw Error(ErrorCode::kCorruptData,
                "{}: no zip archive that can be read ({}); the file is cut off or damaged, fetch "
                "it again",
                name, ErrorText(code));
  }
  const zip_int64_t count = zip_get_num_entries(handle_->zip, 0);
  if (count > kMaxEntries) {
    throw Error(ErrorCode::kExhausted, "{}: has {} entries, at most {} are read", name, count,
                kMaxEntries);
  }
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(handle_->zip, static_cast<zip_uint64_t>(i), 0, &stat) != 0 ||
        (stat.valid & ZIP_STAT_NAME) == 0 || (stat.valid & ZIP_STAT_SIZE) == 0 ||
        (stat.valid & ZIP_STAT_COMP_SIZE) == 0 || (stat.valid & ZIP_STAT_COMP_METHOD) == 0) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: entry {} of the zip archive cannot be read; fetch the file again", name, i);
    }
    ZipEntry entry;
    entry.name = stat.name;
    if (entry.name.ends_with('/')) continue;
    if (stat.size > static_cast<zip_uint64_t>(std::numeric_limits<Index>::max()) ||
        stat.comp_size > static_cast<zip_uint64_t>(std::numeric_limits<Index>::max())) {
      throw Error(ErrorCode::kCorruptData, "{}: entry '{}' claims {} bytes; fetch the file again",
                  name, Printable(entry.name), stat.size);
    }
    entry.size = static_cast<Index>(stat.size);
    entry.number = i;
    entry.stored = stat.comp_method == ZIP_CM_STORE;
    entry.crc = (stat.valid & ZIP_STAT_CRC) != 0 ? stat.crc : 0;
    const auto packed = static_cast<Index>(stat.comp_size);
    const bool lies = entry.stored ? packed != entry.size : entry.size / kMaxDeflateRatio > packed;
    if (lies) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: entry '{}' claims {} bytes, but only {} bytes are set aside for it; the "
                  "archive is damaged, fetch it again",
                  name, Printable(entry.name), entry.size, packed);
    }
    if (!by_name_.emplace(entry.name, entries_.size()).second) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: entry '{}' stands twice in the zip archive; fetch the file again", name,
                  Printable(entry.name));
    }
    entries_.push_back(std::move(entry));
  }
}

ZipArchive::~ZipArchive() = default;
ZipArchive::ZipArchive(ZipArchive&&) noexcept = default;
ZipArchive& ZipArchive::operator=(ZipArchive&&) noexcept = default;

const ZipEntry* ZipArchive::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

std::vector<std::uint8_t> ZipArchive::Read(const ZipEntry& entry, Index offset, Index count) const {
  const std::string file = PathText(path_);
  const std::string name = Printable(entry.name);
  if (offset < 0 || count < 0 || offset > entry.size || count > entry.size - offset) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: bytes {} to {} asked for of entry '{}', which has {}", file, offset,
                offset + count, name, entry.size);
  }
  const std::unique_ptr<zip_file_t, FileCloser> opened(
      zip_fopen_index(handle_->zip, static_cast<zip_uint64_t>(entry.number), 0));
  if (opened == nullptr) {
    throw Error(ErrorCode::kUnsupported,
                "{}: entry '{}' cannot be read ({}); only stored and deflated entries without a "
                "password are, write the file again with torch.save",
                file, name, zip_strerror(handle_->zip));
  }
  if (!entry.stored && entry.size > kMaxDeflatedBytes) {
    throw Error(ErrorCode::kExhausted,
                "{}: entry '{}' is deflated and has {} bytes, at most {} are unpacked; write the "
                "file again with torch.save, which stores it",
                file, name, entry.size, kMaxDeflatedBytes);
  }
  const auto damaged = [&](Index got) {
    return Error(ErrorCode::kCorruptData,
                 "{}: entry '{}' gives {} bytes of the {} it declares ({}); the file is damaged, "
                 "fetch it again",
                 file, name, got, entry.size, zip_file_strerror(opened.get()));
  };
  // A stored entry is read from where the bytes lie; a deflated one has to be read through.
  Index skip = offset;
  if (entry.stored && skip > 0 && zip_fseek(opened.get(), skip, SEEK_SET) == 0) skip = 0;
  std::vector<std::uint8_t> scrap(ToSize(std::min<Index>(skip, 1 << 16)));
  while (skip > 0) {
    const zip_int64_t got =
        zip_fread(opened.get(), scrap.data(),
                  std::min<zip_uint64_t>(static_cast<zip_uint64_t>(skip), scrap.size()));
    if (got <= 0) throw damaged(offset - skip);
    skip -= got;
  }
  std::vector<std::uint8_t> bytes(ToSize(count));
  Index done = 0;
  while (done < count) {
    const zip_int64_t got =
        zip_fread(opened.get(), bytes.data() + done, static_cast<zip_uint64_t>(count - done));
    if (got <= 0) throw damaged(offset + done);
    done += got;
  }
  // The checksum is compared at the end of the entry.
  std::uint8_t more = 0;
  if (offset == 0 && count == entry.size && (entry.crc != 0 || !entry.stored)) {
    const zip_int64_t got = zip_fread(opened.get(), &more, 1);
    if (got < 0 && entry.crc != 0) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: entry '{}' does not have its checksum ({}); the file is damaged, fetch it "
                  "again",
                  file, name, zip_file_strerror(opened.get()));
    }
    if (got > 0) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: entry '{}' is longer than the {} bytes that it declares; fetch the file "
                  "again",
                  file, name, entry.size);
    }
  }
  return bytes;
}

}  // namespace cliplens
