// Tables in Parquet files.
#include "cliplens/io/parquet.h"

#include "fuzz/fuzz.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(parquet) {
  const fuzz::Scratch scratch;
  const std::filesystem::path path = scratch.Write("x.parquet", input);
  fuzz::Guard([&] {
    const TextTable table = ReadParquetTable(path);
    Index bytes = 0;
    for (Index r = 0; r < table.rows(); ++r) {
      for (Index c = 0; c < std::ssize(table.columns()); ++c) bytes += std::ssize(table.cell(r, c));
    }
    if (bytes > kMaxTableBytes) __builtin_trap();
  });
}
