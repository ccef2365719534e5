// Decomposes a set of pictures and names the first one by the best of three texts.
#include <cliplens/cliplens.h>

int main(int, char** argv) {
  using namespace cliplens;
  const ClipModel model = ClipModel::Load(argv[1]);
  const std::unique_ptr<ImageSet> pictures = OpenImageSet(argv[2]);
  DecomposeOptions options;
  options.out = argv[3];
  const DecomposeResult result = Decompose(model, *pictures, options);
  fmt::print("{}, {} pictures, exact: {}\n", kVersion, result.images,
             result.certificate.max < 1e-5);

  const std::vector<std::string> texts = {"a picture of a duck", "a picture of an eggplant",
                                          "a picture of a lemon"};
  const Array<float, 2> classifier = model.EmbedTexts(texts, /*truncate=*/false, /*threads=*/1);
  const Array<float, 2> rows = EmbedImages(model, *pictures, /*threads=*/1);
  const ClassScore best = TopClasses(rows.row(0), classifier, model.logits(), 1).front();
  fmt::print("{}\n", texts[static_cast<std::size_t>(best.index)]);
}
