// cliplens label STORE --properties FILE

#include "cliplens/app/labels.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/label_report.h"

namespace cliplens::cli {
namespace {

struct LabelArguments {
  LabelledStore labelled;
  std::string beside;
  std::string beside_model;
  std::string out;
  std::string csv;
};

void Run(const LabelArguments& options, const Common& common) {
  const Store store = Store::Open(options.labelled.store);
  OutputFiles files({options.out, options.csv});
  const LabelReport report =
      MakeLabels(store, LazyModel(store, options.labelled.model).LoadedRows(),
                 options.labelled.labelling, WorkOf(common));
  Json json = LabelJson(report);
  std::string comparison;
  if (!options.beside.empty()) {
    const Store second = Store::Open(options.beside);
    const ModelChoice beside{.model = options.beside_model,
                             .fetch = options.labelled.model.fetch,
                             .option = "--beside-model"};
    const LabelReport second_report = MakeLabels(second, LazyModel(second, beside).LoadedRows(),
                                                 options.labelled.labelling, WorkOf(common));
    json["beside"] = LabelSummaryJson(second_report);
    comparison = "\n" + LabelComparisonTable(report, second_report);
  }
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, LabelCsv(report));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(LabelTable(report) + comparison);
}

}  // namespace

void AddLabel(CLI::App& app, Common& common) {
  auto [verb, options] =
      AddVerb<LabelArguments>(app, common, "label", "One property for each head, or none",
                              "cliplens label store --properties world/texts/properties.txt");
  AddLabellingOptions(verb, options->labelled);
  CLI::Option* beside =
      verb->add_option("--beside", options->beside,
                       "Store of a second model, whose scores stand beside the first's");
  verb->add_option("--beside-model", options->beside_model,
                   "The second store's model (default: what the store names)")
      ->needs(beside);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every property of every head");
}

}  // namespace cliplens::cli
