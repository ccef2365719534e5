// Names what each picture shows, out of the classes of a file.
//
//   example_1_zero_shot MODEL PICTURES CLASSES
#include <fmt/format.h>

#include "cliplens/analysis/zero_shot.h"

int main(int argc, char** argv) {
  using namespace cliplens;
  if (argc != 4) return 2;
  try {
    const ClipModel model = ClipModel::Load(argv[1]);
    const std::unique_ptr<ImageSet> pictures = OpenImageSet(argv[2]);
    const ClassFile classes = ReadClassFile(argv[3]);
    const Array<float, 2> classifier =
        MakeClassifier(model, classes.names, ReadTemplates("simple"), false, /*threads=*/0);
    const Array<float, 2> embeddings = EmbedImages(model, *pictures, /*threads=*/0);
    for (Index b = 0; b < pictures->size(); ++b) {
      const ClassScore best = TopClasses(embeddings.row(b), classifier, model.logits(), 1).front();
      fmt::print("{}: {} ({:.0f} %)\n", pictures->path(b), At(classes.names, best.index),
                 100 * best.probability);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
