// cliplens edit suggest|make|show
#include <memory>

#include <fmt/format.h>

#include "cliplens/app/cues.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/models.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/edit_report.h"

namespace cliplens::cli {
namespace {

struct SuggestArguments {
  std::string store;
  SuggestOptions suggest;
  std::string out;
  ModelChoice model;
};

void Run(const SuggestArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  if (!options.out.empty()) RefuseExisting(options.out);
  SuggestedEdit suggested =
      SuggestEdit(store, LazyModel(store, options.model), options.suggest, WorkOf(common));
  CueReport& report = suggested.report;
  if (!options.out.empty() && suggested.edit) {
    WriteEdit(options.out, *suggested.edit);
    report.out = options.out;
  }
  if (common.json) {
    PrintJson(CueJson(report));
  } else {
    Print(CueTable(report));
    if (!report.out.empty()) Print(fmt::format("written to {}\n", report.out));
  }
  if (!options.out.empty() && !suggested.edit) {
    throw Error(ErrorCode::kPrecondition,
                "{}: no head carries surely more of the cue than of the rest, so {} is not written",
                options.store, options.out);
  }
}

void AddSuggest(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<SuggestArguments>(
      app, common, "suggest", "Whether the class logits follow a cue, and the heads that carry it",
      "cliplens edit suggest store --classes world/texts/birds.txt --templates "
      "world/texts/birds.templates.txt --cue \"something on the sea\" --cue "
      "\"something in the forest\" --out edit.json");
  AddStoreArgument(verb, options->store);
  AddClassOptions(verb, options->suggest.classes);
  auto* which = AddOneOf(verb, "cue");
  which->add_option("--cue", options->suggest.cue.texts,
                    "Text that names one of the cue's values; twice or more. The model's own "
                    "answers are the groups");
  which->add_option("--cue-file", options->suggest.cue.file,
                    "The same from a file: one text a line, optionally a tab and its group");
  which->add_option("--attribute", options->suggest.cue.attribute,
                    "Attribute of the pictures that is the cue");
  verb->add_flag("--within-classes", options->suggest.within_classes,
                 "Measure the cue within each class, by the pictures' labels");
  AddNumber(verb, "--most-images", options->suggest.most_images, 2, 1'000'000,
            "Of more pictures every n-th is used");
  verb->add_option("--means", options->suggest.means,
                   "Store whose means the edit has (default: STORE's own)");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "Edit file to write");
}

struct MakeArguments {
  std::string store;
  EditRecipe recipe;
  std::string out;
};

void Run(const MakeArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  RefuseExisting(options.out);
  const Edit edit = MakeEdit(store, options.recipe);
  WriteEdit(options.out, edit);
  if (common.json) return PrintJson(EditJson(edit, options.out));
  Print(fmt::format("{}\nwritten to {}\n", EditTable(edit), options.out));
}

void AddMake(CLI::App& app, Common& common) {
  auto [verb, options] =
      AddVerb<MakeArguments>(app, common, "make", "An edit of the components that are named",
                             "cliplens edit make store --heads L5.H3,L5.H4 --out edit.json");
  AddStoreArgument(verb, options->store, "Store of the model (statistics are enough)");
  auto* which = AddOneOf(verb, "which components");
  which->add_option("--heads", options->recipe.which.heads,
                    "L11.H3, L9-L11, last-4, all, also L11.MLP, mlps, INPUT and POOL.MLP; commas "
                    "between");
  which->add_option("--property", options->recipe.which.property,
                    "The heads that --labels names this property for");
  AddLabelsOption(verb, options->recipe.which.labels);
  verb->add_option("--mode", options->recipe.mode, "mean: replaced by the mean; scale=X: times X")
      ->capture_default_str();
  verb->add_option("--means", options->recipe.means,
                   "Store whose means stand in (default: STORE's own)");
  verb->add_option("--out", options->out, "Edit file to write")->required();
}

void AddShow(CLI::App& app, Common& common) {
  auto path = std::make_shared<std::string>();
  CLI::App* verb =
      AddVerb(app, common, "show", "What an edit does", "cliplens edit show edit.json");
  verb->add_option("EDIT", *path, "Edit file")->required();
  verb->callback([path, &common] {
    const Edit edit = ReadEdit(*path);
    if (common.json) return PrintJson(EditJson(edit, *path));
    Print(EditTable(edit));
  });
}

}  // namespace

void AddEdit(CLI::App& app, Common& common) {
  CLI::App* verb = app.add_subcommand(
      "edit", "Edits: components replaced by their means or scaled, for embed and classify");
  verb->require_subcommand(1);
  AddSuggest(*verb, common);
  AddMake(*verb, common);
  AddShow(*verb, common);
}

}  // namespace cliplens::cli
