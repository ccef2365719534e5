// Accuracy when attention layers say the same of every picture, and the head that it needs most.
//
//   example_5_ablation MODEL STORE CLASSES
#include <algorithm>

#include <fmt/format.h>

#include "cliplens/analysis/ablation.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/dataset/labels.h"

int main(int argc, char** argv) {
  using namespace cliplens;
  if (argc != 4) return 2;
  try {
    const ClipModel model = ClipModel::Load(argv[1]);
    const Store store = Store::Open(argv[2]);
    const ClassFile classes = ReadClassFile(argv[3]);
    const MatchedLabels labels = MatchLabels(store.ReadItems(), classes, "", argv[2]);
    const Array<float, 2> classifier =
        MakeClassifier(model, classes.names, ReadTemplates("simple"), false, /*threads=*/0);
    const AblationResult result =
        Ablate(store, store.statistics(), classifier, labels.classes, {.threads = 0});
    for (const AblationRow& row : result.cumulative) {
      fmt::print("{} attention layers replaced: {:.1f} % ({:.1f} to {:.1f})\n", row.name,
                 100 * row.accuracy.value, 100 * row.accuracy.low, 100 * row.accuracy.high);
    }
    const ComponentAblation& most = *std::ranges::max_element(
        result.components, {}, [](const ComponentAblation& c) { return c.score_lost.value; });
    fmt::print("without {} the right class scores {:.3f} less\n", most.component,
               most.score_lost.value);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
