// Names what each head is about, or nothing where no property explains it better than chance.
//
//   example_4_label_heads MODEL STORE PROPERTIES
#include <fmt/format.h>

#include "cliplens/analysis/head_labels.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"

int main(int argc, char** argv) {
  using namespace cliplens;
  if (argc != 4) return 2;
  try {
    const ClipModel model = ClipModel::Load(argv[1]);
    const Store store = Store::Open(argv[2]);
    const TextPool pool = ReadTextPool(argv[3]);
    const PropertyTable table = PropertiesOf(pool);
    const Array<float, 2> texts = model.EmbedTexts(pool.texts, /*truncate=*/true, /*threads=*/0);
    const std::vector<HeadId> heads = ParseHeads("last-2", store.basis().components());
    for (const HeadLabel& head : LabelHeads(store, heads, table, texts, {})) {
      fmt::print("{}: {} (confidence {:.2f}, coverage {:.2f})\n", HeadName(head.id),
                 head.label < 0 ? "none" : At(table.names, head.label), head.confidence,
                 head.coverage);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
