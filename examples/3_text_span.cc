// Says in words what the heads of the last layer write.
//
//   example_3_text_span MODEL STORE TEXTS
#include <fmt/format.h>

#include "cliplens/analysis/text_span.h"
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
    const Array<float, 2> texts = model.EmbedTexts(pool.texts, /*truncate=*/true, /*threads=*/0);
    const auto layer = static_cast<int>(store.basis().layers()) - 1;
    for (int head = 0; head < static_cast<int>(store.basis().num_heads()); ++head) {
      const HeadId id{layer, head};
      const TextSpanResult span =
          TextSpan(store.statistics().HeadMoments(id), store.basis().at(id), texts, {.count = 3});
      fmt::print("{}\n", HeadName(id));
      for (const SpanText& text : span.texts) {
        fmt::print("  {:4.1f} %  {}\n", 100 * text.share, At(pool.texts, text.index));
      }
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
