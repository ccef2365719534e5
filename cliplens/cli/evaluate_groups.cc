// cliplens evaluate groups STORE --classes FILE --attribute NAME

#include "cliplens/app/groups.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/group_report.h"

namespace cliplens::cli {
namespace {

struct EvaluateGroupsArguments {
  std::string store;
  GroupChoice groups;
  ModelChoice model;
  std::string out;
  std::string csv;
};

void Run(const EvaluateGroupsArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  OutputFiles files({options.out, options.csv});
  const RowModel model = LazyModel(store, options.model).LoadedRows();
  const GroupReport report = MakeGroups(store, model, options.groups, WorkOf(common));
  for (const std::string& warning : GroupWarnings(report)) {
    if (common.json) PrintProblem("warning: " + warning);
  }
  const Json json = GroupJson(report);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, GroupCsv(report));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(GroupTable(report));
}

}  // namespace

void AddEvaluateGroups(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<EvaluateGroupsArguments>(
      app, common, "groups", "Accuracy by group of class and attribute, before and after an edit",
      "cliplens evaluate groups store --classes world/texts/birds.txt --templates "
      "world/texts/birds.templates.txt --attribute place_kind --edit edit.json");
  AddStoreArgument(verb, options->store);
  AddClassOptions(verb, options->groups.classes);
  verb->add_option("--attribute", options->groups.attribute,
                   "Attribute of the pictures that makes groups of each class")
      ->required();
  auto* which = AddOneOf(verb, "edit", false);
  which->add_option("--edit", options->groups.edit, "Edit file (cliplens edit)");
  which->add_option("--heads", options->groups.which.heads,
                    "Components to replace by means: L11.H3, L9-L11, L11.MLP, mlps, INPUT");
  which->add_option("--property", options->groups.which.property,
                    "Replace the heads that --labels names this property for");
  AddLabelsOption(verb, options->groups.which.labels);
  verb->add_option("--means", options->groups.means,
                   "Store whose means stand in (default: STORE's own)");
  AddNumber(verb, "--random", options->groups.random, 0, 1'000, "Draws of as many random heads");
  verb->add_option("--seed", options->groups.seed, "Of the random heads")->capture_default_str();
  verb->add_flag("--skip-empty", options->groups.skip_empty, "Leave groups without pictures out");
  CLI::Option* weights = verb->add_option(
      "--weights-from", options->groups.weights_from,
      "Also the average over groups weighted by their pictures here: a store, or pictures with "
      "labels and attributes (the training set)");
  verb->add_option("--weights-split", options->groups.weights_split,
                   "Count this split of the pictures of --weights-from only")
      ->needs(weights);
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every group");
}

}  // namespace cliplens::cli
