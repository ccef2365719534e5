// cliplens label STORE --properties FILE
#include <memory>

#include "cliplens/cli/labelling.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/label_report.h"

namespace cliplens::cli {
namespace {

struct Options {
  LabellingOptions labelling;
  std::string out;
  std::string csv;
};

void Run(const Options& options, const Common& common) {
  const Store store = Store::Open(options.labelling.store);
  RefuseExistingIfNamed({options.out, options.csv});
  const LabelReport report =
      MakeLabels(store, LoadModelOf(store, options.labelling.model), options.labelling, common);
  const Json json = LabelJson(report, store.ReadItems());
  WriteIfNamed(options.out, DumpJson(json) + "\n");
  WriteIfNamed(options.csv, LabelCsv(report));
  if (common.json) return PrintJson(json);
  Print(LabelTable(report));
}

}  // namespace

void AddLabel(CLI::App& app, Common& common) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, common, "label", "One property for each head, or none",
                           "cliplens label store --properties world/texts/properties.txt");
  AddLabellingOptions(verb, options->labelling);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every property of every head");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
