// cliplens reconstruct STORE --texts FILE --classes FILE --counts 5,10,20,60
#include <memory>

#include "cliplens/app/accuracy.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/ablation_report.h"

namespace cliplens::cli {
namespace {

struct ReconstructArguments {
  std::string store;
  ModelChoice model;
  ReconstructionChoice reconstruction;
  std::string out;
  std::string csv;
};

void Run(const ReconstructArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  RefuseExistingIfNamed({options.out, options.csv});
  const ReconstructionReport report = ReconstructPools(store, LazyModel(store, options.model),
                                                       options.reconstruction, WorkOf(common));
  const Json json = ReconstructionJson(report);
  WriteIfNamed(options.out, DumpJson(json) + "\n");
  WriteIfNamed(options.csv, ReconstructionCsv(report.pools));
  if (common.json) return PrintJson(json);
  Print(ReconstructionTable(report));
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
          "--texts", options->reconstruction.texts,
          "Text pool, one text a line, or a shipped one: general, common_words, properties; may "
          "be given several times")
      ->required();
  AddClassOptions(verb, options->reconstruction.classes);
  verb->add_option("--counts", options->reconstruction.options.counts,
                   "Texts of each head, ascending")
      ->delimiter(',')
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--layers", options->reconstruction.options.layers,
                   "The last so many layers are reconstructed")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--rank", options->reconstruction.options.rank,
                   "Directions of the head to keep (0: its numerical rank)")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  verb->add_option("--random", options->reconstruction.random,
                   "Controls: so many random pools with the spectrum of the first")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
