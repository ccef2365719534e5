// cliplens reconstruct STORE --texts FILE --classes FILE --counts 5,10,20,60
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/random_texts.h"
#include "cliplens/analysis/reconstruction.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/app/models.h"
#include "cliplens/app/shipped.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/report/ablation_report.h"

namespace cliplens::cli {
namespace {

struct ReconstructArguments {
  std::string store;
  std::vector<std::string> texts;
  ModelChoice model;
  ClassChoice classes;
  ReconstructionOptions reconstruction;
  Index random = 0;
  std::string out;
  std::string csv;
};

void Run(ReconstructArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  RefuseExistingIfNamed({options.out, options.csv});
  std::vector<TextPool> pools;
  for (const std::string& path : options.texts) pools.push_back(ReadTextPool(TextsPath(path)));
  const ClipModel model = LoadModelOf(store, options.model);
  const AccuracyInput input = OpenAccuracy(store, model, options.classes, WorkOf(common));
  options.reconstruction.threads = common.threads;
  options.reconstruction.progress = Progress(common, "pictures");
  options.reconstruction.layers = std::min(options.reconstruction.layers, store.basis().layers());
  std::vector<PoolReconstruction> results;
  const auto add = [&](const std::string& name, const Array<float, 2>& texts) {
    results.push_back({name, texts.dim(0),
                       Reconstruct(store, texts, input.classifier.rows, input.labels.classes,
                                   options.reconstruction)});
  };
  for (std::size_t p = 0; p < pools.size(); ++p) {
    const Array<float, 2> texts =
        RowsOfPool(model, pools[p], options.classes.truncate, WorkOf(common));
    add(pools[p].name, texts);
    if (p > 0) continue;
    for (Index seed = 1; seed <= options.random; ++seed) {
      add(fmt::format("random-{}", seed),
          RandomTexts(texts, texts.dim(0), static_cast<std::uint64_t>(seed)));
    }
  }
  const Index layers = options.reconstruction.layers;
  const Json json = ReconstructionJson(input.setting, layers, results);
  WriteIfNamed(options.out, DumpJson(json) + "\n");
  WriteIfNamed(options.csv, ReconstructionCsv(results));
  if (common.json) return PrintJson(json);
  Print(ReconstructionTable(input.setting, layers, results));
}

}  // namespace

void AddReconstruct(CLI::App& app, Common& common) {
  auto options = std::make_shared<ReconstructArguments>();
  CLI::App* verb = AddVerb(app, common, "reconstruct",
                           "Accuracy when each head keeps only the span of its texts",
                           "cliplens reconstruct store --texts world/texts/phrases.txt --classes "
                           "world/texts/objects.txt --counts 5,10,20 --random 1");
  verb->add_option("STORE", options->store, "Store directory with factors of pictures")->required();
  verb->add_option(
          "--texts", options->texts,
          "Text pool, one text a line, or a shipped one: general, common_words, properties; may "
          "be given several times")
      ->required();
  AddClassOptions(verb, options->classes);
  verb->add_option("--counts", options->reconstruction.counts, "Texts of each head, ascending")
      ->delimiter(',')
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--layers", options->reconstruction.layers,
                   "The last so many layers are reconstructed")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--rank", options->reconstruction.rank,
                   "Directions of the head to keep (0: its numerical rank)")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  verb->add_option("--random", options->random,
                   "Controls: so many random pools with the spectrum of the first")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
