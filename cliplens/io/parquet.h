// Tables in Parquet files, as pandas, Polars, DuckDB and Hugging Face's datasets write them.
//
//   const TextTable table = ReadParquetTable("metadata.parquet");
#pragma once

#include <filesystem>

#include "cliplens/base/array.h"
#include "cliplens/io/text_table.h"

namespace cliplens {

// The most cells of a table, bytes of a page, and bytes that all pages unpack to.
inline constexpr Index kMaxParquetCells = Index{1} << 25;
inline constexpr Index kMaxParquetPageBytes = Index{64} << 20;
inline constexpr Index kMaxParquetUnpackedBytes = Index{512} << 20;

// Columns of texts, numbers, booleans, dates, timestamps, and of lists of these. Texts are cells as
// they are, nulls, NaN and infinities are empty cells, dates and timestamps are 2024-05-31 and
// 2024-05-31 13:30:00.5 (+00:00 behind it where the file says that it is UTC); other values are
// written as in JSON. Rows without any cell are left out and counted. The other columns (structs,
// maps, lists of lists, bytes, decimals, times of day, the index of a data frame) are left out; a
// note of the table names them and is the only thing that is read of them.
//
// The file is read in place: no more than its footer (16 MiB), and of one column after the other
// what a row group holds (kMaxTableBytes).
//
// Throws Error(kCorruptData) for a file that is damaged, text that is not UTF-8 and two columns of
// one name, Error(kUnsupported) for a file without columns that are read, one that is encrypted or
// packed otherwise than by Snappy, gzip or Zstd, Error(kExhausted) above the bounds, those of
// text_table.h and parquet_metadata.h.
TextTable ReadParquetTable(const std::filesystem::path& path);

}  // namespace cliplens
