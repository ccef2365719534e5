// cliplens export STORE --format npy --out DIRECTORY
#include <memory>

#include <fmt/format.h>

#include "cliplens/cli/verb.h"

namespace cliplens::cli {
namespace {

struct Options {
  std::string store;
  std::string format = "npy";
  std::string out;
};

void Run(const Options& options, const Common& common) {
  const Store store = Store::Open(options.store);
  ExportNpy(store, options.out);
  if (common.json) {
    const Basis& b = store.basis();
    const Index n = store.info().images;
    PrintJson({{"format", "cliplens.export/1"},
               {"images", n},
               {"out", options.out},
               {"arrays",
                {{"attn", {n, b.layers(), b.num_heads(), b.embed_width()}},
                 {"mlp", {n, b.layers() + 1, b.embed_width()}},
                 {"cls_attn", {n, b.layers(), b.embed_width()}},
                 {"embedding", {n, b.embed_width()}}}}});
  } else {
    Print(
        fmt::format("contributions of {} pictures in {}: attn.npy, mlp.npy, cls_attn.npy, "
                    "embedding.npy, items.jsonl\n",
                    store.info().images, options.out));
  }
}

}  // namespace

void AddExport(CLI::App& app, Common& common) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, common, "export", "A store's contributions for other programs",
                           "cliplens export store --format npy --out arrays");
  verb->add_option("STORE", options->store, "Store directory")->required();
  verb->add_option("--format", options->format, "npy: float32 arrays of numpy")
      ->check(CLI::IsMember({"npy"}))
      ->capture_default_str();
  verb->add_option("--out", options->out, "Directory to make")->required();
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
