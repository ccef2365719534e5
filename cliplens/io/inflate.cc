#include "cliplens/io/inflate.h"

#include <algorithm>
#include <limits>

#include <zlib.h>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

constexpr std::size_t kStep = std::size_t{1} << 18;
// Deflate cannot shrink its input further than this.
constexpr std::size_t kMaxRatio = 1'032;
constexpr int kZlibOrGzip = MAX_WBITS + 32;

}  // namespace

std::vector<std::uint8_t> Inflate(std::span<const std::uint8_t> packed, const std::string& name,
                                  Index max_bytes) {
  const auto most = ToSize(max_bytes);
  const auto too_much = [&] {
    return Error(ErrorCode::kExhausted,
                 "{}: unpacks to more than {} bytes, the most that is read; is it the right file?",
                 name, max_bytes);
  };
  if (packed.size() > std::numeric_limits<uInt>::max()) throw too_much();
  z_stream stream = {};
  if (inflateInit2(&stream, kZlibOrGzip) != Z_OK) {
    throw Error(ErrorCode::kExhausted, "{}: no memory is left to unpack it", name);
  }
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } const end{&stream};
  stream.next_in = const_cast<std::uint8_t*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::vector<std::uint8_t> bytes;
  // Reserved pages are not touched before bytes come; a vector that grows would hold them twice.
  bytes.reserve(std::min(most, packed.size() * kMaxRatio) + kStep);
  int status = Z_OK;
  do {
    const std::size_t before = bytes.size();
    bytes.resize(before + kStep);
    stream.next_out = bytes.data() + before;
    stream.avail_out = kStep;
    status = inflate(&stream, Z_NO_FLUSH);
    bytes.resize(before + kStep - stream.avail_out);
    if (bytes.size() > most) throw too_much();
    // Another member of a gzip file.
    if (status == Z_STREAM_END && stream.avail_in > 1 && stream.next_in[0] == 0x1f &&
        stream.next_in[1] == 0x8b) {
      status = inflateReset(&stream);
    }
  } while (status == Z_OK);
  if (status == Z_BUF_ERROR) {
    throw Error(ErrorCode::kCorruptData,
                "{}: what is packed ends early, after {} bytes that unpack to {}; the file is cut "
                "off, fetch it again",
                name, packed.size(), bytes.size());
  }
  if (status != Z_STREAM_END) {
    throw Error(ErrorCode::kCorruptData,
                "{}: what is packed is damaged after {} unpacked bytes ({}); fetch the file again",
                name, bytes.size(), stream.msg != nullptr ? stream.msg : "zlib");
  }
  return bytes;
}

}  // namespace cliplens
