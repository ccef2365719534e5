// cliplens export STORE --format npy|faiss --out PATH
#include "cliplens/decompose/export.h"

#include <fmt/format.h>

#include "cliplens/app/edits.h"
#include "cliplens/app/models.h"
#include "cliplens/app/search_index.h"
#include "cliplens/app/spaces.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/store_report.h"

namespace cliplens::cli {
namespace {

struct ExportArguments {
  std::string store;
  std::string format = "npy";
  std::string out;
  SpaceChoice space;  // of an index
  ModelChoice model;  // for the texts of a property
  EditChoice edit;    // of arrays
};

void WriteIndex(const Store& store, const ExportArguments& options, const Common& common) {
  OutputFiles files(SearchIndexFiles(options.out));
  const LazyModel model(store, options.model);
  const SearchSpace space = OpenSpace(options.space, store, model.ForRows(), WorkOf(common));
  WriteSearchIndex(options.out, files, store, space, common.threads, Progress(common, "index"));
  files.Commit();
  if (common.json) {
    return PrintJson(
        IndexJson(ReadSearchIndex(options.out, store), options.out, options.space.Text()));
  }
  Print(fmt::format("index of {} pictures in {}, {}: {}, and what it holds in {}.json\n",
                    store.info().images, options.space.Text(), NameOf(space.measure), options.out,
                    options.out));
}

void Run(const ExportArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  if (options.format == "faiss") {
    if (!options.edit.path.empty()) {
      throw Error(ErrorCode::kInvalidArgument, "--edit is for --format npy, not for an index");
    }
    return WriteIndex(store, options, common);
  }
  std::optional<Edit> edit;
  if (!options.edit.path.empty()) edit = ReadEditFor(store, options.edit.path);
  ExportNpy(store, options.out, edit ? &*edit : nullptr, !options.edit.no_normalize);
  if (common.json) return PrintJson(ExportJson(store, options.out, options.edit.path));
  Print(
      fmt::format("{}contributions of {} pictures in {}: attn.npy, mlp.npy, {}, embedding.npy, "
                  "items.jsonl\n",
                  edit ? "edited " : "", store.info().images, options.out,
                  edit ? "edit.safetensors" : "cls_attn.npy"));
}

}  // namespace

void AddExport(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ExportArguments>(
      app, common, "export", "A store's contributions, or an index of them, for other programs",
      "cliplens export store --format npy --out arrays");
  AddStoreArgument(verb, options->store, "Store directory");
  verb->add_option("--format", options->format,
                   "npy: float32 arrays of numpy; faiss: an index for search")
      ->check(CLI::IsMember({"npy", "faiss"}))
      ->capture_default_str();
  verb->add_option("--out", options->out, "Directory to make, or file of an index")->required();
  AddSpaceChoice(verb, options->space);
  AddModelOption(verb, options->model);
  AddEditChoice(verb, options->edit);
}

}  // namespace cliplens::cli
