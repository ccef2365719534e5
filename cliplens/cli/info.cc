// cliplens info MODEL
#include <memory>

#include "cliplens/app/model_info.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/model_report.h"

namespace cliplens::cli {
namespace {

void Run(const ModelChoice& choice, const Common& common) {
  const LoadedModel loaded = LoadModel(choice);
  const ClipModel& model = *loaded;
  const ModelInfo info = DescribeModel(model, common.threads);
  if (common.json) return PrintJson(InfoJson(info));
  Print(InfoTable(info));
}

}  // namespace

void AddInfo(CLI::App& app, Common& common) {
  auto model = std::make_shared<ModelChoice>();
  CLI::App* verb = AddVerb(app, common, "info", "Configuration, sizes and rank of each head",
                           "cliplens info pictureworld");
  AddModelArgument(verb, *model);
  verb->callback([model, &common] { Run(*model, common); });
}

}  // namespace cliplens::cli
