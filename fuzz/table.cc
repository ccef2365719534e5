// Tables of pictures: CSV, TSV and JSON Lines.
#include "fuzz/fuzz.h"

#include "cliplens/dataset/image_set.h"
#include "cliplens/io/text_table.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(table) {
  const fuzz::Scratch scratch;
  for (const char* name : {"x.csv", "x.tsv", "x.jsonl"}) {
    const std::filesystem::path path = scratch.Write(name, input);
    fuzz::Guard([&] {
      const TextTable table = ReadTextTable(path);
      std::size_t bytes = 0;
      for (Index r = 0; r < table.rows(); ++r) {
        for (std::size_t c = 0; c < table.columns().size(); ++c) {
          bytes += table.cell(r, static_cast<Index>(c)).size();
        }
      }
      // JSON writes some values longer than they stand there, numbers above all.
      if (bytes > 32 * input.size()) __builtin_trap();
    });
    for (const char* split : {"", "test"}) {
      fuzz::Guard([&] {
        const auto set = OpenImageSet(path, {.split = split});
        for (Index i = 0; i < set->size(); ++i) {
          if (set->item(i).path.empty() || DumpJson(set->item(i).attributes).empty()) {
            __builtin_trap();
          }
          fuzz::Guard([&] { (void)set->Read(i); });
          fuzz::Guard([&] { (void)set->ReadMask(i); });
        }
      });
    }
  }
}
