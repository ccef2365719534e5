// cliplens decompose MODEL --images PATH --out STORE
#include "cliplens/decompose/decompose.h"

#include <chrono>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "cliplens/analysis/variance.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/decompose/store.h"
#include "cliplens/report/json.h"
#include "cliplens/report/store_report.h"

namespace cliplens::cli {
namespace {

struct DecomposeArguments {
  ModelChoice model;
  ImagesChoice images;
  DecomposeOptions decompose;
  std::string type = "fp32";
  std::string part;
};

void Run(DecomposeArguments& options, const Common& common) {
  options.model.with_text = false;
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const std::unique_ptr<ImageSet> set = OpenImages(options.images, options.decompose.on_error);
  if (!options.part.empty()) options.decompose.part = ParseStorePart(options.part);
  options.decompose.type = options.type == "fp16" ? StoreType::kF16 : StoreType::kF32;
  options.decompose.threads = common.threads;
  options.decompose.progress = Progress(common, "decompose");
  const auto start = std::chrono::steady_clock::now();
  const DecomposeResult result = Decompose(model, *set, options.decompose);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  WarnOfLosses(set->left_out(), result.oriented, result.skipped, result.incomplete,
               result.images + static_cast<Index>(result.skipped.size()));
  // Said of models with POOL.MLP alone, which can be half of what the store holds.
  std::vector<ComponentShare> shares;
  if (model.image_readout().components().has_pool_mlp() && result.images > 1) {
    const Store store = Store::Open(options.decompose.out);
    shares = ComponentShares(store.statistics(), store.basis());
  }
  if (common.json) {
    return PrintJson(DecomposeJson(model, result, set->left_out(), shares, seconds,
                                   options.decompose.out.string()));
  }
  if (result.complete_already) {
    Print(fmt::format("{} was complete already: {} pictures, everything in it checked\n",
                      options.decompose.out.string(), result.images));
    return;
  }
  Print(
      fmt::format("{} pictures decomposed in {:.1f} s ({:.0f}/s) into {}\n"
                  "certificate: |sum of contributions - embedding| / |embedding| is {:.1e} at "
                  "most, {:.1e} on average\n{}",
                  result.images, seconds, static_cast<double>(result.images) / seconds,
                  options.decompose.out.string(), result.certificate.max, result.certificate.mean,
                  PoolMlpLine(shares)));
}

}  // namespace

void AddDecompose(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<DecomposeArguments>(
      app, common, "decompose",
      "Write pictures' embeddings as exact sums of contributions: a store",
      "cliplens decompose pictureworld --images photos/ --out store");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddImagesOption(verb, options->images);
  verb->add_option("--out", options->decompose.out, "Store directory to make")->required();
  verb->add_flag("--stats-only", options->decompose.stats_only,
                 "Keep statistics only: the store's size does not grow with the pictures");
  verb->add_option("--store-dtype", options->type, "Numbers in the store: fp32 or fp16")
      ->check(CLI::IsMember({"fp32", "fp16"}))
      ->capture_default_str();
  AddNumber(verb, "--slices", options->decompose.slices, 1, 4096,
            "Disjoint parts of the pictures that give figures their spread");
  verb->add_flag("--resume", options->decompose.resume,
                 "Go on with what an interrupted run with the same arguments left");
  verb->add_option("--shard", options->part,
                   "Do part i of n only (i/n, from 0/n); merge makes the whole of all parts");
  AddNumber(verb, "--shard-images", options->decompose.shard_images, 1, 65536,
            "Pictures in a shard file, which is what is done, or done again, at once");
  AddOnError(verb, options->decompose.on_error);
}

}  // namespace cliplens::cli
