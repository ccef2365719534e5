// cliplens merge STORE... --out STORE
#include "cliplens/decompose/merge.h"

#include <fmt/format.h>

#include "cliplens/cli/verb.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/neurons/collect.h"
#include "cliplens/report/store_report.h"

namespace cliplens::cli {
namespace {

struct MergeArguments {
  std::vector<std::string> stores;
  std::string out;
};

void Run(const MergeArguments& options, const Common& common) {
  const std::vector<std::filesystem::path> inputs(options.stores.begin(), options.stores.end());
  const bool neurons = KindOf(inputs.front()) == StoreKind::kNeurons;
  if (neurons) {
    MergeNeuronStores(inputs, options.out, common.threads, Progress(common, "directions"));
  } else {
    MergeStores(inputs, options.out);
  }
  const Manifest merged =
      ReadManifest(options.out, neurons ? StoreKind::kNeurons : StoreKind::kFactors);
  if (common.json) return PrintJson(MergeJson(merged, std::ssize(inputs), options.out));
  const bool texts = merged.info.neurons && merged.info.neurons->text;
  Print(fmt::format("{} stores with {} {} merged into {}\n", inputs.size(), merged.info.images,
                    texts ? "texts" : "pictures", options.out));
}

}  // namespace

void AddMerge(CLI::App& app, Common& common) {
  auto [verb, options] =
      AddVerb<MergeArguments>(app, common, "merge", "One store out of several of the same model",
                              "cliplens merge part-0 part-1 --out whole");
  verb->add_option("STORES", options->stores, "Stores to merge")->required();
  verb->add_option("--out", options->out, "Store directory to make")->required();
}

}  // namespace cliplens::cli
