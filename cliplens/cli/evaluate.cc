// cliplens evaluate labels STORE --truth ATTRIBUTES

#include "cliplens/app/labels.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/label_report.h"

namespace cliplens::cli {
namespace {

struct EvaluateArguments {
  LabelledStore labelled;
  TruthChoice truth;
};

void Run(const EvaluateArguments& options, const Common& common) {
  const Store store = Store::Open(options.labelled.store);
  const LabelTruthReport report =
      LabelsAgainstTruth(store, LazyModel(store, options.labelled.model),
                         options.labelled.labelling, options.truth, WorkOf(common));
  if (common.json) return PrintJson(LabelEvaluationJson(report));
  Print(LabelEvaluationTable(report));
}

void AddEvaluateLabels(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<EvaluateArguments>(
      app, common, "labels", "Labels of heads against known factors of the pictures",
      "cliplens evaluate labels store --properties world/texts/properties.txt --truth "
      "object,style,background,position,size,count,effect --only object2=");
  AddLabellingOptions(verb, options->labelled);
  verb->add_option("--truth", options->truth.factors,
                   "Attributes of the pictures that hold the truth; commas between")
      ->delimiter(',')
      ->required();
  verb->add_option("--only", options->truth.only,
                   "Measure the truth on the pictures with ATTRIBUTE=VALUE (empty: without it)");
}

}  // namespace

void AddEvaluate(CLI::App& app, Common& common) {
  CLI::App* verb = app.add_subcommand("evaluate", "Analyses against what is known of the pictures");
  verb->require_subcommand(1);
  AddEvaluateGroups(*verb, common);
  AddEvaluateLabels(*verb, common);
  AddEvaluateSegmentation(*verb, common);
}

}  // namespace cliplens::cli
