// cliplens reconstruct STORE --texts FILE --classes FILE --counts 5,10,20,60

#include "cliplens/app/accuracy.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
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
  OutputFiles files({options.out, options.csv});
  const ReconstructionReport report = ReconstructPools(store, LazyModel(store, options.model),
                                                       options.reconstruction, WorkOf(common));
  const Json json = ReconstructionJson(report);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, ReconstructionCsv(report.pools));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(ReconstructionTable(report));
}

}  // namespace

void AddReconstruct(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ReconstructArguments>(
      app, common, "reconstruct", "Accuracy when each head keeps only the span of its texts",
      "cliplens reconstruct store --texts world/texts/phrases.txt --classes "
      "world/texts/objects.txt --counts 5,10,20 --random 1");
  AddStoreArgument(verb, options->store);
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
  AddNumber(verb, "--layers", options->reconstruction.options.layers, 1, 100'000,
            "The last so many layers are reconstructed");
  AddNumber(verb, "--rank", options->reconstruction.options.rank, 0, 100'000,
            "Directions of the head to keep (0: its numerical rank)");
  AddNumber(verb, "--random", options->reconstruction.random, 0, 100,
            "Controls: so many random pools with the spectrum of the first");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write");
}

}  // namespace cliplens::cli
