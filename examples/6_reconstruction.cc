// How much of the model's accuracy is left when each head keeps only the span of its first texts.
//
//   example_6_reconstruction MODEL STORE CLASSES TEXTS
#include <fmt/format.h>

#include "cliplens/analysis/random_texts.h"
#include "cliplens/analysis/reconstruction.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/dataset/labels.h"

int main(int argc, char** argv) {
  using namespace cliplens;
  if (argc != 5) return 2;
  try {
    const ClipModel model = ClipModel::Load(argv[1]);
    const Store store = Store::Open(argv[2]);
    const ClassFile classes = ReadClassFile(argv[3]);
    const MatchedLabels labels = MatchLabels(store.ReadItems(), classes, "", argv[2]);
    const Array<float, 2> classifier =
        MakeClassifier(model, classes.names, ReadTemplates("simple"), false, /*threads=*/0);
    const Array<float, 2> texts = model.EmbedTexts(ReadTextPool(argv[4]).texts, true, 0);
    const Array<float, 2> random = RandomTexts(texts, texts.dim(0), /*seed=*/1);
    for (const auto& [name, pool] : {std::pair{"texts", &texts}, std::pair{"random", &random}}) {
      const ReconstructionResult result =
          Reconstruct(store, *pool, classifier, labels.classes, {.counts = {5, 10}, .layers = 2});
      for (const ReconstructionRow& row : result.rows) {
        fmt::print("{:2} {:6} a head: {:.1f} % of {:.1f} %\n", row.count, name,
                   100 * row.accuracy.value, 100 * result.whole.accuracy.value);
      }
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
