// Values of a Parquet page, in each of the format's encodings, one after the other.
//
//   const auto values = OpenParquetValues(encoding, column, page, &dictionary);
//   for (Index i = 0; i < count; ++i) Use(values->Next());
//
// Nothing is unpacked ahead: a few bytes may stand for any number of values.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/byte_cursor.h"
#include "cliplens/io/parquet_metadata.h"

namespace cliplens {

// Whole numbers are extended to 64 bits by their sign, other values are their bits; byte arrays
// are `bytes`.
struct ParquetValue {
  std::uint64_t bits = 0;
  std::string_view bytes;
};

// Throws Error(kCorruptData) where values are missing or none.
class ParquetValues {
 public:
  virtual ~ParquetValues() = default;
  // The bytes live until the next call.
  virtual ParquetValue Next() = 0;
};

// Runs of one number, and numbers packed in bits: levels, places in a dictionary, booleans.
class ParquetRuns {
 public:
  // Numbers of `width` bits.
  ParquetRuns(ByteCursor cursor, std::uint32_t width);
  std::uint32_t Next();

 private:
  ByteCursor cursor_;
  std::uint32_t width_;
  std::uint64_t left_ = 0;  // of the run
  bool packed_ = false;
  std::uint32_t repeated_ = 0;
  std::span<const std::uint8_t> bits_;
  std::uint64_t bit_ = 0;
};

// The values that pages refer to by their place.
class ParquetDictionary {
 public:
  ParquetDictionary() = default;
  // Takes the bytes of a dictionary page. Byte arrays take 4 bytes each beside them.
  ParquetDictionary(const ParquetColumn& column, std::vector<std::uint8_t> page, Index count,
                    const std::string& where);
  Index size() const { return count_; }
  ParquetValue value(std::size_t i) const;

 private:
  ParquetType type_ = ParquetType::kInt32;
  std::uint64_t width_ = 0;
  Index count_ = 0;
  std::vector<std::uint8_t> page_;
  std::vector<std::uint32_t> places_;  // of byte arrays
};

// `encoding` is the format's number. `cursor`'s bytes and the dictionary must outlive the values.
// Throws Error(kCorruptData) for an encoding that the type does not have.
std::unique_ptr<ParquetValues> OpenParquetValues(Index encoding, const ParquetColumn& column,
                                                 ByteCursor cursor,
                                                 const ParquetDictionary* dictionary);

bool IsParquetEncoding(Index encoding);

// Whether pages of this codec, by the format's number, can be unpacked; and its name.
bool IsParquetCodec(Index codec);
const char* ParquetCodecName(Index codec);

// The `size` bytes that `packed` stands for. Throws Error(kCorruptData) if they are more or fewer.
std::vector<std::uint8_t> UnpackParquet(Index codec, std::span<const std::uint8_t> packed,
                                        Index size, const std::string& where);

}  // namespace cliplens
