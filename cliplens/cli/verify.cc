// cliplens verify STORE
#include "cliplens/decompose/verify.h"

#include <fmt/format.h>

#include "cliplens/app/models.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/neurons/neuron_verify.h"
#include "cliplens/report/store_report.h"

namespace cliplens::cli {
namespace {

struct VerifyArguments {
  std::string store;
  ModelChoice model;
};

void Run(const VerifyArguments& options, Common& common) {
  const bool neurons = KindOf(options.store) == StoreKind::kNeurons;
  LoadedModel model;
  if (!options.model.model.empty()) {
    ModelChoice choice = options.model;
    try {
      // The matrices B are of the weights as the products saw them, and positions of that size.
      const StoreInfo info =
          ReadManifest(options.store, neurons ? StoreKind::kNeurons : StoreKind::kFactors).info;
      choice.precision = info.precision;
      choice.level = info.level;
      choice.image_size = info.model_pictures.image_size;
      choice.resize_backend = NameOf(info.model_pictures.backend);
    } catch (const Error&) {
      // said below, with whatever else is wrong
    }
    model = LoadModel(choice);
  }
  const VerifyOptions verify{
      .model = model.get(), .threads = common.threads, .progress = Progress(common, "verify")};
  const std::vector<Problem> problems =
      neurons ? VerifyNeuronStore(options.store, verify) : VerifyStore(options.store, verify);
  if (!problems.empty()) common.exit_status = InfoOf(problems.front().code).exit_status;
  const std::vector<std::string> strays = StrayFiles(options.store);
  if (common.json) return PrintJson(VerifyJson(options.store, problems, strays));
  for (const std::string& name : strays) {
    PrintProblem(
        fmt::format("{}: '{}' is no file of a store and was not checked", options.store, name));
  }
  for (const Problem& problem : problems) {
    PrintProblem(fmt::format("{}: {}", InfoOf(problem.code).name, problem.message));
  }
  if (problems.empty())
    Print(fmt::format("{}: everything in it is as it should be\n", options.store));
}

}  // namespace

void AddVerify(CLI::App& app, Common& common) {
  auto [verb, options] =
      AddVerb<VerifyArguments>(app, common, "verify", "Check everything that a store promises",
                               "cliplens verify store --model pictureworld");
  AddStoreArgument(verb, options->store, "Store to check");
  CLI::Option* model = verb->add_option("--model", options->model.model,
                                        "Compare with the model that should have made it");
  verb->add_option("--arch", options->model.architecture, "Architecture of a checkpoint file");
  verb->add_option("--weights", options->model.weights, "Which of a checkpoint's models");
  AddPullOption(verb, options->model)->needs(model);
}

}  // namespace cliplens::cli
