// cliplens pull NAME
#include "cliplens/app/pull.h"

#include "cliplens/cli/verb.h"
#include "cliplens/report/model_report.h"

namespace cliplens::cli {
namespace {

struct PullArguments {
  std::string name;
  PullOptions pull;
};

void Run(PullArguments& options, const Common& common) {
  options.pull.on_wait = PrintProblem;
  const PulledModel model = PullModel(options.name, options.pull, WorkOf(common));
  if (common.json) return PrintJson(PullJson(model));
  Print(PullText(model));
}

}  // namespace

void AddPull(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<PullArguments>(
      app, common, "pull", "Fetch a model into the cache that transformers and open_clip read",
      "cliplens pull ViT-B-32/openai");
  verb->add_option("NAME", options->name,
                   "hf:ORG/NAME, or open_clip's ARCH/TAG such as ViT-B-32/openai")
      ->required();
  verb->add_option("--revision", options->pull.revision,
                   "A branch, a tag or a commit (default: main)");
  verb->add_flag("--original", options->pull.original,
                 "ARCH/TAG from OpenAI's or open_clip's own address, into ~/.cache/clip");
  verb->add_flag("--any", options->pull.any,
                 "Also a model that this version does not evaluate, for other programs");
}

}  // namespace cliplens::cli
