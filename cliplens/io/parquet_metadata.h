// What a Parquet file says of itself at its end: its columns, and where their bytes lie.
//
//   const ParquetMetadata metadata = ParseParquetFooter(footer, "t.parquet");
//   for (const ParquetColumn& column : metadata.columns) {
//     Use(column.name, metadata.row_groups[0].chunks[column.leaf]);
//   }
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// How values are stored; the numbers are those of the format.
enum class ParquetType : std::uint8_t {
  kBoolean,
  kInt32,
  kInt64,
  kInt96,
  kFloat,
  kDouble,
  kByteArray,
  kFixed,  // byte arrays of one width
};

// What they mean.
enum class ParquetKind { kBoolean, kSigned, kUnsigned, kReal, kText, kDate, kTimestamp };

// A column of values, or of lists of values. A value takes part as far as its definition level
// says: below `max_definition` it is null, and of a list, at `empty_definition` the list has no
// elements, below it is null.
struct ParquetColumn {
  std::string name;
  std::size_t leaf = 0;  // its place among the chunks of a row group
  ParquetType type = ParquetType::kBoolean;
  ParquetKind kind = ParquetKind::kBoolean;
  Index width = 0;             // kFixed: bytes of a value
  Index ticks_per_second = 1;  // kTimestamp
  bool utc = false;            // kTimestamp: or in a time zone that the file does not name
  bool is_list = false;
  std::uint32_t max_definition = 0;
  std::uint32_t empty_definition = 0;
};

// The values of a column in a row group. None of this is checked against the file.
struct ParquetChunk {
  Index type = -1;
  Index codec = -1;
  Index values = 0;  // nulls and empty lists are counted
  Index begin = 0;   // of its first page in the file
  Index size = 0;    // bytes
  bool elsewhere = false;
  bool encrypted = false;
};

struct ParquetRowGroup {
  Index rows = 0;
  std::vector<ParquetChunk> chunks;  // one for each leaf of the schema
};

struct ParquetMetadata {
  std::vector<ParquetColumn> columns;  // those that have texts
  std::vector<std::string> left_out;   // the others: "'image' (a struct)"
  std::vector<ParquetRowGroup> row_groups;
  Index rows = 0;  // of all row groups
};

// Throws Error(kCorruptData) for what is none or contradicts itself, Error(kExhausted) above 4,096
// columns and 2^20 chunks. `name` is the file's.
ParquetMetadata ParseParquetFooter(std::span<const std::uint8_t> footer, const std::string& name);

}  // namespace cliplens
