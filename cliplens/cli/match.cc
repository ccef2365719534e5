// cliplens match STORE STORE2

#include "cliplens/analysis/head_match.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/matches.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/match_report.h"

namespace cliplens::cli {
namespace {

struct MatchArguments {
  std::string store, other;
  std::string labels, other_labels;
  Index count = 20;
  MatchOptions match;
};

void Run(MatchArguments options, const Common& common) {
  const Store store = Store::Open(options.store);
  const Store other = Store::Open(options.other);
  options.match.threads = common.threads;
  options.match.progress = Progress(common, "heads");
  const MatchReport report =
      MatchStores({&store, ReadNamesOfHeads(options.labels, HeadsIn(store))},
                  {&other, ReadNamesOfHeads(options.other_labels, HeadsIn(other))}, options.match);
  if (common.json) return PrintJson(MatchJson(report));
  Print(MatchTable(report, options.count));
}

}  // namespace

void AddMatch(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<MatchArguments>(
      app, common, "match", "Heads of two stores that tell the same pictures apart",
      "cliplens match store other");
  AddStoreArgument(verb, options->store);
  verb->add_option("STORE2", options->other, "Store of the same pictures, of this or another model")
      ->required();
  verb->add_option("--labels", options->labels,
                   "File that 'cliplens label STORE --out FILE' wrote, to name heads by");
  verb->add_option("--labels2", options->other_labels, "The same of STORE2");
  AddNumber(verb, "--most-images", options->match.most_images, 5, 100'000,
            "Of more common pictures every n-th by path is used");
  AddNumber(verb, "--count", options->count, 1, 1'000'000, "Matches in the table");
}

}  // namespace cliplens::cli
