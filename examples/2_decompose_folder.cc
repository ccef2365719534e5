// Decomposes a folder of pictures, checks the sum, and says which heads matter most.
//
//   example_2_decompose_folder MODEL PICTURES STORE
#include <algorithm>

#include <fmt/format.h>

#include "cliplens/analysis/variance.h"
#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/store.h"

int main(int argc, char** argv) {
  using namespace cliplens;
  if (argc != 4) return 2;
  try {
    const ClipModel model = ClipModel::Load(argv[1]);
    const std::unique_ptr<ImageSet> pictures = OpenImageSet(argv[2]);
    DecomposeOptions options;
    options.out = argv[3];
    const DecomposeResult result = Decompose(model, *pictures, options);
    fmt::print("{} pictures; contributions sum to the embedding but for {:.0e}\n", result.images,
               result.certificate.max);

    const Store store = Store::Open(argv[3]);
    std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
    std::ranges::stable_sort(shares, std::greater(), &ComponentShare::share);
    for (std::size_t i = 0; i < std::min<std::size_t>(shares.size(), 5); ++i) {
      fmt::print("{:6} brings {:.1f} % of the embedding's variance\n", shares[i].component,
                 100 * shares[i].share);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
