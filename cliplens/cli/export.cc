// cliplens export STORE --format npy|faiss --out PATH
#include <memory>

#include <fmt/format.h>

#include "cliplens/cli/search_space.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/search_index.h"

namespace cliplens::cli {
namespace {

struct Options {
  std::string store;
  std::string format = "npy";
  std::string out;
  SpaceChoice space;  // of an index
};

void WriteIndex(const Store& store, const Options& options, const Common& common) {
  RefuseExistingIfNamed({options.out, options.out + ".json"});
  const SearchSpace space = SpaceOf(options.space, store);
  WriteSearchIndex(options.out, store, space, common.threads, Progress(common, "index"));
  if (common.json) {
    const SearchIndex index = ReadSearchIndex(options.out, store);
    return PrintJson({{"format", "cliplens.export/1"},
                      {"images", index.vectors.rows()},
                      {"out", options.out},
                      {"width", index.vectors.width()},
                      {"in", options.space.Text()},
                      {"definition", NameOf(space.definition)},
                      {"measure", NameOf(space.measure)}});
  }
  Print(fmt::format("index of {} pictures in {}, {}: {}, and what it holds in {}.json\n",
                    store.info().images, options.space.Text(), NameOf(space.measure), options.out,
                    options.out));
}

void Run(const Options& options, const Common& common) {
  const Store store = Store::Open(options.store);
  if (options.format == "faiss") return WriteIndex(store, options, common);
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
  CLI::App* verb = AddVerb(app, common, "export",
                           "A store's contributions, or an index of them, for other programs",
                           "cliplens export store --format npy --out arrays");
  verb->add_option("STORE", options->store, "Store directory")->required();
  verb->add_option("--format", options->format,
                   "npy: float32 arrays of numpy; faiss: an index for search")
      ->check(CLI::IsMember({"npy", "faiss"}))
      ->capture_default_str();
  verb->add_option("--out", options->out, "Directory to make, or file of an index")->required();
  AddSpaceChoice(verb, options->space);
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
