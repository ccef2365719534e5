#include "cliplens/io/npz.h"

#include <memory>
#include <utility>

#include <zip.h>

#include "cliplens/base/error.h"
#include "cliplens/io/npy.h"

namespace cliplens {
namespace {

struct SourceCloser {
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};
struct ZipCloser {
  void operator()(zip_t* zip) const { zip_discard(zip); }
};

[[noreturn]] void ThrowZipError(const char* what) {
  throw Error(ErrorCode::kExhausted, "an .npz file: libzip cannot {}; is there memory left?", what);
}

}  // namespace

std::vector<std::uint8_t> NpzBytes(std::span<const NpzArray> arrays) {
  constexpr zip_uint16_t kFirstDay = 0x21;  // 1 January 1980, the first that a zip archive knows
  zip_error_t error;
  zip_error_init(&error);
  std::unique_ptr<zip_source_t, SourceCloser> source(
      zip_source_buffer_create(nullptr, 0, 0, &error));
  if (!source) ThrowZipError("make an archive");
  std::unique_ptr<zip_t, ZipCloser> zip(
      zip_open_from_source(source.get(), ZIP_CREATE | ZIP_TRUNCATE, &error));
  if (!zip) ThrowZipError("make an archive");
  zip_source_keep(source.get());                 // to be read when the archive is closed
  std::vector<std::vector<std::uint8_t>> files;  // read when the archive is closed
  files.reserve(arrays.size());
  for (const NpzArray& array : arrays) {
    const std::string header = NpyHeader(array.type, array.shape);
    std::vector<std::uint8_t>& file = files.emplace_back(header.begin(), header.end());
    file.insert(file.end(), array.bytes.begin(), array.bytes.end());
    zip_source_t* entry = zip_source_buffer(zip.get(), file.data(), file.size(), 0);
    const std::string name = array.name + ".npy";
    const zip_int64_t number =
        entry == nullptr ? -1 : zip_file_add(zip.get(), name.c_str(), entry, ZIP_FL_ENC_UTF_8);
    if (number < 0) {
      zip_source_free(entry);
      ThrowZipError("add an array");
    }
    const auto index = static_cast<zip_uint64_t>(number);
    if (zip_set_file_compression(zip.get(), index, ZIP_CM_STORE, 0) < 0 ||
        zip_file_set_dostime(zip.get(), index, 0, kFirstDay, 0) < 0) {
      ThrowZipError("add an array");
    }
  }
  if (zip_close(zip.get()) < 0) ThrowZipError("write an archive");
  (void)zip.release();  // closed
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_source_open(source.get()) < 0 || zip_source_stat(source.get(), &stat) < 0) {
    ThrowZipError("read an archive");
  }
  std::vector<std::uint8_t> bytes(stat.size);
  const zip_int64_t got = zip_source_read(source.get(), bytes.data(), bytes.size());
  zip_source_close(source.get());
  if (got != static_cast<zip_int64_t>(bytes.size())) ThrowZipError("read an archive");
  return bytes;
}

}  // namespace cliplens
