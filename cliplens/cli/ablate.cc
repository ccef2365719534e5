// cliplens ablate STORE --classes FILE
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/ablation.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
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
  RefuseExistingIfNamed({options.out, options.csv, options.svg});
  const MeansChoice means(store, options.means);
  const ClipModel model = LoadModelOf(store, options.model);
  AccuracyInput input = OpenAccuracy(store, model, options.classes, WorkOf(common));
  input.setting.means = options.means;
  AblationOptions ablation;
  ablation.threads = common.threads;
  ablation.progress = Progress(common, "pictures");
  const AblationResult result =
      Ablate(store, means.statistics(), input.classifier.rows, input.labels.classes, ablation);
  const Json json = AblationJson(input.setting, result);
  WriteIfNamed(options.out, DumpJson(json) + "\n");
  WriteIfNamed(options.csv, AblationCsv(result));
  WriteIfNamed(options.svg, RenderCurve(AblationCurve(result)));
  if (common.json) return PrintJson(json);
  Print(AblationTable(input.setting, result, options.components));
}

}  // namespace

void AddAblate(CLI::App& app, Common& common) {
  auto options = std::make_shared<AblateArguments>();
  CLI::App* verb =
      AddVerb(app, common, "ablate", "Accuracy when parts of the model are replaced by their means",
              "cliplens ablate store --classes world/texts/objects.txt --templates "
              "world/texts/objects.templates.txt --svg curve.svg");
  verb->add_option("STORE", options->store, "Store directory with factors of pictures")->required();
  AddClassOptions(verb, options->classes);
  verb->add_option("--means", options->means, "Store whose means stand in (default: STORE's own)");
  verb->add_option("--components", options->components,
                   "Components to list, those first whose loss costs most accuracy")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every component");
  verb->add_option("--svg", options->svg, "SVG file to write, with both curves");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
