// cliplens ablate STORE --classes FILE

#include <fmt/format.h>

#include "cliplens/analysis/ablation.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/ablation_report.h"

namespace cliplens::cli {
namespace {

struct AblateArguments {
  std::string store;
  std::string means;
  ModelChoice model;
  ClassChoice classes;
  Index components = 10;
  std::string out;
  std::string csv;
  std::string svg;
};

void Run(const AblateArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  OutputFiles files({options.out, options.csv, options.svg});
  const MeansChoice means(store, options.means);
  const RowModel model = LazyModel(store, options.model).LoadedRows();
  AccuracyInput input = OpenAccuracy(store, model, options.classes, WorkOf(common));
  input.setting.means = options.means;
  AblationOptions ablation;
  ablation.threads = common.threads;
  ablation.progress = Progress(common, "pictures");
  const AblationResult result =
      Ablate(store, means.statistics(), input.classifier.rows, input.labels.classes, ablation);
  const Json json = AblationJson(input.setting, result);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, AblationCsv(result));
  files.Write(options.svg, RenderCurve(AblationCurve(result)));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(AblationTable(input.setting, result, options.components));
}

}  // namespace

void AddAblate(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<AblateArguments>(
      app, common, "ablate", "Accuracy when parts of the model are replaced by their means",
      "cliplens ablate store --classes world/texts/objects.txt --templates "
      "world/texts/objects.templates.txt --svg curve.svg");
  AddStoreArgument(verb, options->store);
  AddClassOptions(verb, options->classes);
  verb->add_option("--means", options->means, "Store whose means stand in (default: STORE's own)");
  AddNumber(verb, "--components", options->components, 0, 100'000,
            "Components to list, those first whose loss costs most accuracy");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every component");
  verb->add_option("--svg", options->svg, "SVG file to write, with both curves");
}

}  // namespace cliplens::cli
