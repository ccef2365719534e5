// cliplens decompose MODEL --images PATH --out STORE
#include "cliplens/decompose/decompose.h"

#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "cliplens/cli/verb.h"

namespace cliplens::cli {
namespace {

struct Options {
  ModelChoice model;
  std::string images;
  DecomposeOptions decompose;
  std::string type = "fp32";
};

void Run(Options& options, const Common& common) {
  const ClipModel model = LoadModel(options.model);
  const std::unique_ptr<ImageSet> set = OpenImageSet(options.images);
  options.decompose.type = options.type == "fp16" ? StoreType::kF16 : StoreType::kF32;
  options.decompose.threads = common.threads;
  options.decompose.progress = Progress(common, "decompose");
  const auto start = std::chrono::steady_clock::now();
  const DecomposeResult result = Decompose(model, *set, options.decompose);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (common.json) {
    PrintJson(
        {{"format", "cliplens.decompose/1"},
         {"model", model.name()},
         {"fingerprint", model.fingerprint()},
         {"precision", NameOf(model.precision())},
         {"images", result.images},
         {"shards", result.shards},
         {"certificate", {{"max", result.certificate.max}, {"mean", result.certificate.mean}}},
         {"seconds", seconds},
         {"out", options.decompose.out.string()}});
    return;
  }
  Print(
      fmt::format("{} pictures decomposed in {:.1f} s ({:.0f}/s) into {}\n"
                  "certificate: |sum of contributions - embedding| / |embedding| is {:.1e} at "
                  "most, {:.1e} on average\n",
                  result.images, seconds, static_cast<double>(result.images) / seconds,
                  options.decompose.out.string(), result.certificate.max, result.certificate.mean));
}

}  // namespace

void AddDecompose(CLI::App& app, Common& common) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, common, "decompose",
                           "Write pictures' embeddings as exact sums of contributions: a store",
                           "cliplens decompose pictureworld --images photos/ --out store");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  verb->add_option("--images", options->images, "Picture, folder or WebDataset shards")->required();
  verb->add_option("--out", options->decompose.out, "Store directory to make")->required();
  verb->add_flag("--stats-only", options->decompose.stats_only,
                 "Keep statistics only: the store's size does not grow with the pictures");
  verb->add_option("--store-dtype", options->type, "Numbers in the store: fp32 or fp16")
      ->check(CLI::IsMember({"fp32", "fp16"}))
      ->capture_default_str();
  verb->add_option("--slices", options->decompose.slices,
                   "Disjoint parts of the pictures that give figures their spread")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
