// cliplens weights MODEL [--texts FILE]
#include "cliplens/app/models.h"
#include "cliplens/app/weight_words.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/weight_report.h"

namespace cliplens::cli {
namespace {

struct WeightsArguments {
  ModelChoice model;
  WeightWordsChoice words;
  std::string out;
  std::string csv;
};

void Run(const WeightsArguments& options, const Common& common) {
  OutputFiles files({options.out, options.csv});
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const WeightWords report = DescribeWeights(model, options.words, WorkOf(common));
  const Json json = WeightJson(report);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, WeightCsv(report));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(WeightTable(report));
}

}  // namespace

void AddWeights(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<WeightsArguments>(
      app, common, "weights", "What heads write and read, in words, from their weights alone",
      "cliplens weights pictureworld --texts world/texts/phrases.txt --heads last-2");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddTextsOption(verb, options->words.texts);
  AddHeadsOption(verb, options->words.heads);
  AddNumber(verb, "--directions", options->words.directions, 1, 1'000,
            "Singular directions of each head, the largest first");
  AddNumber(verb, "--count", options->words.words.count, 1, 1'000, "Texts for a direction");
  AddNumber(verb, "--coherence", options->words.words.coherence, 0.0, 1e6,
            "How much texts are preferred that are like those picked before");
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every text of every direction");
  verb->add_flag("--truncate", options->words.truncate, "Cut texts longer than the context");
}

}  // namespace cliplens::cli
