#include "cliplens/io/parquet_values.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <snappy.h>
#include <zstd.h>

#include "cliplens/io/inflate.h"

namespace cliplens {
namespace {

enum ParquetEncoding : Index {
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kDeltaBinaryPacked = 5,
  kDeltaLengthByteArray = 6,
  kDeltaByteArray = 7,
  kRleDictionary = 8,
  kByteStreamSplit = 9,
};

enum ParquetCodec : Index { kUncompressed = 0, kSnappy = 1, kGzip = 2, kZstd = 6 };

// The `width` bits (at most 64) from bit `from` on; the lowest bit of a byte is its first.
std::uint64_t TakeBits(std::span<const std::uint8_t> bytes, std::uint64_t from,
                       std::uint32_t width) {
  std::uint64_t bits = 0;
  for (std::uint32_t done = 0; done < width;) {
    const std::uint32_t skip = (from + done) % 8;
    const std::uint32_t take = std::min(8 - skip, width - done);
    const std::uint64_t part = (bytes[(from + done) / 8] >> skip) & ((1U << take) - 1);
    bits |= part << done;
    done += take;
  }
  return bits;
}

// Bytes of a value that has a fixed number of them; 0 for byte arrays.
std::uint64_t WidthOf(const ParquetColumn& column) {
  switch (column.type) {
    case ParquetType::kInt32:
    case ParquetType::kFloat:
      return 4;
    case ParquetType::kInt64:
    case ParquetType::kDouble:
      return 8;
    case ParquetType::kFixed:
      return ToSize(column.width);
    default:
      return 0;
  }
}

// Of the lower 32 bits.
std::uint64_t ExtendSign(std::uint64_t bits) {
  return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(bits)});
}

// A value from its own bytes.
ParquetValue ValueOf(ParquetType type, std::span<const std::uint8_t> bytes) {
  if (type == ParquetType::kFixed) return {.bytes = AsText(bytes)};
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes.data(), bytes.size());
  if (type == ParquetType::kInt32) {
    bits = ExtendSign(bits);
  }
  return {.bits = bits, .bytes = {}};
}

// One plain value that begins at the cursor.
ParquetValue TakePlain(ParquetType type, std::uint64_t width, ByteCursor* cursor) {
  if (type == ParquetType::kByteArray) {
    return {.bytes = AsText(cursor->Take(cursor->Number<std::uint32_t>()))};
  }
  return ValueOf(type, cursor->Take(width));
}

class PlainValues : public ParquetValues {
 public:
  PlainValues(const ParquetColumn& column, ByteCursor cursor)
      : type_(column.type), width_(WidthOf(column)), cursor_(std::move(cursor)) {}
  ParquetValue Next() override { return TakePlain(type_, width_, &cursor_); }

 private:
  ParquetType type_;
  std::uint64_t width_;
  ByteCursor cursor_;
};

class PlainBooleans : public ParquetValues {
 public:
  explicit PlainBooleans(ByteCursor cursor) : cursor_(std::move(cursor)) {}
  ParquetValue Next() override {
    if (bit_ == 0) byte_ = cursor_.Byte();
    const ParquetValue value{.bits = (byte_ >> bit_) & 1U, .bytes = {}};
    bit_ = (bit_ + 1) % 8;
    return value;
  }

 private:
  ByteCursor cursor_;
  std::uint8_t byte_ = 0;
  std::uint32_t bit_ = 0;
};

class RunBooleans : public ParquetValues {
 public:
  explicit RunBooleans(ByteCursor cursor) : runs_(std::move(cursor), 1) {}
  ParquetValue Next() override { return {.bits = runs_.Next(), .bytes = {}}; }

 private:
  ParquetRuns runs_;
};

class DictionaryValues : public ParquetValues {
 public:
  DictionaryValues(ByteCursor cursor, std::uint32_t width, const ParquetDictionary* dictionary)
      : cursor_(cursor), runs_(std::move(cursor), width), dictionary_(dictionary) {}
  ParquetValue Next() override {
    const std::uint32_t place = runs_.Next();
    if (Index{place} >= dictionary_->size()) {
      cursor_.Fail(fmt::format("value {} of a dictionary of {}", place, dictionary_->size()));
    }
    return dictionary_->value(place);
  }

 private:
  ByteCursor cursor_;  // for messages
  ParquetRuns runs_;
  const ParquetDictionary* dictionary_;
};

// DELTA_BINARY_PACKED: blocks of differences, each less the least of its block, in miniblocks that
// have a width of their own.
class Deltas {
 public:
  explicit Deltas(ByteCursor cursor) : cursor_(std::move(cursor)) {
    constexpr std::uint64_t kMaxBlock = 1 << 20;
    const std::uint64_t block = cursor_.Varint();
    miniblocks_ = cursor_.Varint();
    left_ = cursor_.Varint();
    last_ = static_cast<std::uint64_t>(cursor_.ZigZag());
    if (block == 0 || block > kMaxBlock || miniblocks_ == 0 || block % miniblocks_ != 0 ||
        block / miniblocks_ % 8 != 0) {
      cursor_.Fail(fmt::format("blocks of {} differences in {} parts", block, miniblocks_));
    }
    in_miniblock_ = block / miniblocks_;
  }

  std::uint64_t Next() {
    if (left_ == 0) cursor_.Fail("values are missing");
    --left_;
    if (std::exchange(first_, false)) return last_;
    if (ready_ == 0) OpenMiniblock();
    --ready_;
    last_ += least_ + TakeBits(bits_, bit_, width_);
    bit_ += width_;
    return last_;
  }

  // What follows behind all values.
  ByteCursor Behind() const {
    Deltas end = *this;
    if (end.left_ > 0 && end.first_) --end.left_;
    while (end.left_ > end.ready_) {
      end.left_ -= end.ready_;
      end.OpenMiniblock();
    }
    return end.cursor_;
  }

 private:
  void OpenMiniblock() {
    if (widths_.empty()) {
      least_ = static_cast<std::uint64_t>(cursor_.ZigZag());
      widths_ = cursor_.Take(miniblocks_);
    }
    width_ = widths_.front();
    widths_ = widths_.subspan(1);
    if (width_ > 64) cursor_.Fail(fmt::format("differences of {} bits", width_));
    bits_ = cursor_.Take(in_miniblock_ * width_ / 8);
    bit_ = 0;
    ready_ = in_miniblock_;
  }

  ByteCursor cursor_;
  std::uint64_t miniblocks_ = 0;    // of a block
  std::uint64_t in_miniblock_ = 0;  // differences
  std::uint64_t left_ = 0;          // values
  std::uint64_t last_ = 0;
  bool first_ = true;  // the first value stands in the header
  std::uint64_t least_ = 0;
  std::span<const std::uint8_t> widths_;  // of the block's next miniblocks
  std::uint32_t width_ = 0;
  std::span<const std::uint8_t> bits_;
  std::uint64_t bit_ = 0;
  std::uint64_t ready_ = 0;  // differences of the miniblock that are left
};

class DeltaIntegers : public ParquetValues {
 public:
  DeltaIntegers(ParquetType type, ByteCursor cursor) : type_(type), deltas_(std::move(cursor)) {}
  ParquetValue Next() override {
    const std::uint64_t bits = deltas_.Next();
    if (type_ == ParquetType::kInt64) return {.bits = bits, .bytes = {}};
    return {.bits = ExtendSign(bits), .bytes = {}};
  }

 private:
  ParquetType type_;
  Deltas deltas_;
};

// DELTA_LENGTH_BYTE_ARRAY: all lengths, then the bytes.
class DeltaLengths : public ParquetValues {
 public:
  explicit DeltaLengths(ByteCursor cursor)
      : lengths_(std::move(cursor)), bytes_(lengths_.Behind()) {}
  ParquetValue Next() override { return {.bytes = AsText(bytes_.Take(lengths_.Next()))}; }

 private:
  Deltas lengths_;
  ByteCursor bytes_;
};

// DELTA_BYTE_ARRAY: how many bytes each value shares with the one before, then the others.
class DeltaTexts : public ParquetValues {
 public:
  explicit DeltaTexts(ByteCursor cursor)
      : cursor_(cursor), shared_(std::move(cursor)), others_(shared_.Behind()) {}
  ParquetValue Next() override {
    const std::uint64_t shared = shared_.Next();
    if (shared > last_.size()) cursor_.Fail("a value shares more bytes than there are");
    last_.resize(shared);
    last_ += others_.Next().bytes;
    return {.bytes = last_};
  }

 private:
  ByteCursor cursor_;  // for messages
  Deltas shared_;
  DeltaLengths others_;
  std::string last_;
};

// BYTE_STREAM_SPLIT: the first bytes of all values, then the second ones, and so on.
class SplitValues : public ParquetValues {
 public:
  SplitValues(const ParquetColumn& column, ByteCursor cursor)
      : type_(column.type),
        cursor_(std::move(cursor)),
        value_(WidthOf(column)),
        count_(cursor_.rest().size() / value_.size()) {
    if (cursor_.rest().size() % value_.size() != 0) cursor_.Fail("a part of a value");
  }
  ParquetValue Next() override {
    if (at_ == count_) cursor_.Fail("values are missing");
    for (std::size_t k = 0; k < value_.size(); ++k) {
      value_[k] = cursor_.rest()[k * count_ + at_];
    }
    ++at_;
    return ValueOf(type_, value_);
  }

 private:
  ParquetType type_;
  ByteCursor cursor_;
  std::vector<std::uint8_t> value_;
  std::size_t count_;
  std::size_t at_ = 0;
};

}  // namespace

ParquetRuns::ParquetRuns(ByteCursor cursor, std::uint32_t width)
    : cursor_(std::move(cursor)), width_(width) {
  if (width_ > 32) cursor_.Fail(fmt::format("numbers of {} bits", width_));
}

std::uint32_t ParquetRuns::Next() {
  while (left_ == 0) {
    const std::uint64_t head = cursor_.Varint();
    packed_ = (head & 1) != 0;
    left_ = head >> 1;
    if (packed_) {
      // Groups of eight. Some writers leave off the end of the last.
      if (left_ > (std::uint64_t{1} << 32)) cursor_.Fail("a run of more than 2^35 numbers");
      bits_ = cursor_.Take(std::min<std::uint64_t>(left_ * width_, cursor_.rest().size()));
      bit_ = 0;
      left_ *= 8;
    } else {
      std::array<std::uint8_t, 4> bytes = {};
      std::ranges::copy(cursor_.Take((width_ + 7) / 8), bytes.begin());
      std::memcpy(&repeated_, bytes.data(), sizeof(repeated_));
    }
  }
  --left_;
  if (!packed_) return repeated_;
  if (bit_ + width_ > 8 * bits_.size()) cursor_.Fail("values are missing");
  const auto number = static_cast<std::uint32_t>(TakeBits(bits_, bit_, width_));
  bit_ += width_;
  return number;
}

ParquetDictionary::ParquetDictionary(const ParquetColumn& column, std::vector<std::uint8_t> page,
                                     Index count, const std::string& where)
    : type_(column.type), width_(WidthOf(column)), count_(count), page_(std::move(page)) {
  ByteCursor cursor(page_, where + ": dictionary");
  if (type_ == ParquetType::kBoolean) cursor.Fail("booleans have none");
  if (width_ > 0) {
    if (ToSize(count) > page_.size() / width_) cursor.Fail("values are missing");
    return;
  }
  for (Index i = 0; i < count; ++i) {
    places_.push_back(static_cast<std::uint32_t>(page_.size() - cursor.rest().size()));
    TakePlain(type_, width_, &cursor);
  }
}

ParquetValue ParquetDictionary::value(std::size_t i) const {
  const std::span<const std::uint8_t> page = page_;
  ByteCursor cursor(page.subspan(width_ > 0 ? i * width_ : places_[i]), "");
  return TakePlain(type_, width_, &cursor);
}

std::unique_ptr<ParquetValues> OpenParquetValues(Index encoding, const ParquetColumn& column,
                                                 ByteCursor cursor,
                                                 const ParquetDictionary* dictionary) {
  const ParquetType type = column.type;
  const bool texts = type == ParquetType::kByteArray || type == ParquetType::kFixed;
  switch (encoding) {
    case kPlain:
      if (type == ParquetType::kBoolean) return std::make_unique<PlainBooleans>(std::move(cursor));
      return std::make_unique<PlainValues>(column, std::move(cursor));
    case kPlainDictionary:
    case kRleDictionary: {
      // A page of nulls alone has no numbers, and from some writers not even their width.
      const std::uint32_t width = cursor.rest().empty() ? 0 : cursor.Byte();
      return std::make_unique<DictionaryValues>(std::move(cursor), width, dictionary);
    }
    case kRle:
      if (type != ParquetType::kBoolean) break;
      return std::make_unique<RunBooleans>(
          ByteCursor(cursor.Take(cursor.Number<std::uint32_t>()), cursor.where()));
    case kDeltaBinaryPacked:
      if (type != ParquetType::kInt32 && type != ParquetType::kInt64) break;
      return std::make_unique<DeltaIntegers>(type, std::move(cursor));
    case kDeltaLengthByteArray:
      if (type != ParquetType::kByteArray) break;
      return std::make_unique<DeltaLengths>(std::move(cursor));
    case kDeltaByteArray:
      if (!texts) break;
      return std::make_unique<DeltaTexts>(std::move(cursor));
    case kByteStreamSplit:
      if (WidthOf(column) == 0) break;
      return std::make_unique<SplitValues>(column, std::move(cursor));
    default:
      break;
  }
  cursor.Fail(fmt::format("encoding {} for values of type {}", encoding, static_cast<int>(type)));
}

bool IsParquetEncoding(Index encoding) {
  constexpr std::array<Index, 8> kKnown = {kPlain,
                                           kPlainDictionary,
                                           kRle,
                                           kDeltaBinaryPacked,
                                           kDeltaLengthByteArray,
                                           kDeltaByteArray,
                                           kRleDictionary,
                                           kByteStreamSplit};
  return std::ranges::find(kKnown, encoding) != kKnown.end();
}

bool IsParquetCodec(Index codec) {
  return codec == kUncompressed || codec == kSnappy || codec == kGzip || codec == kZstd;
}

const char* ParquetCodecName(Index codec) {
  constexpr std::array<const char*, 8> kNames = {"none",   "Snappy", "gzip", "LZO",
                                                 "Brotli", "LZ4",    "Zstd", "LZ4"};
  return codec >= 0 && codec < std::ssize(kNames) ? At(kNames, codec) : "unknown";
}

std::vector<std::uint8_t> UnpackParquet(Index codec, std::span<const std::uint8_t> packed,
                                        Index size, const std::string& where) {
  const ByteCursor cursor(packed, where);
  if (codec == kGzip) {
    std::vector<std::uint8_t> bytes = Inflate(packed, where, size);
    if (std::ssize(bytes) != size)
      cursor.Fail(fmt::format("a page of {} bytes has {}", size, bytes.size()));
    return bytes;
  }
  const char* const from = reinterpret_cast<const char*>(packed.data());
  if (codec == kSnappy) {
    std::size_t claimed = 0;
    if (!snappy::GetUncompressedLength(from, packed.size(), &claimed) || claimed != ToSize(size)) {
      cursor.Fail(fmt::format("Snappy claims {} bytes for a page of {}", claimed, size));
    }
  }
  std::vector<std::uint8_t> bytes(ToSize(size));
  bool good = false;
  if (codec == kSnappy) {
    good = snappy::RawUncompress(from, packed.size(), reinterpret_cast<char*>(bytes.data()));
  } else if (codec == kZstd) {
    good = ZSTD_decompress(bytes.data(), bytes.size(), from, packed.size()) == bytes.size();
  } else if (packed.size() == bytes.size()) {
    good = true;
    std::ranges::copy(packed, bytes.begin());
  }
  if (!good) cursor.Fail(fmt::format("a page does not unpack to its {} bytes", size));
  return bytes;
}

}  // namespace cliplens
