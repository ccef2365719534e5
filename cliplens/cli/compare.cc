// cliplens compare STORE STORE2
#include <map>
#include <utility>

#include "cliplens/app/comparison.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/comparison_report.h"

namespace cliplens::cli {
namespace {

struct CompareArguments {
  std::string store, other;
  ComparisonChoice choice;
  ComparisonView view;
  std::string maps;
  std::string out;
  std::string csv;
};

void Run(CompareArguments& options, const Common& common) {
  ComparisonChoice& choice = options.choice;
  choice.other_model.fetch = choice.model.fetch;
  choice.other_model.option = "--model2";
  const bool of_flips = choice.image.empty();
  if (!options.maps.empty() && of_flips && choice.classes.classes.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--maps needs --classes, whose flips are mapped, or --image with --text");
  }
  if (!of_flips && options.maps.empty() && !common.json && options.out.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "nowhere to put the maps of --image: give --maps, --out or --json");
  }
  choice.map_flips = !options.maps.empty() && of_flips;
  const Store store = Store::Open(options.store);
  const Store other = Store::Open(options.other);
  OutputFiles files({options.out, options.csv, options.maps});
  const ComparisonReport report = CompareStores(store, other, choice, WorkOf(common));
  const Json json = ComparisonJson(report, options.view);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, ComparisonCsv(report));
  if (!options.maps.empty()) files.Write(options.maps, EncodePng(ComparisonSheet(report)));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(ComparisonTable(report, options.view));
}

}  // namespace

void AddCompare(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<CompareArguments>(
      app, common, "compare",
      "What changed in heads, labels and answers between two models of one shape",
      "cliplens compare before after --classes world/texts/objects.txt --properties "
      "world/texts/properties.txt");
  ComparisonChoice& choice = options->choice;
  AddStoreArgument(verb, options->store, "Store of the first model: before");
  verb->add_option("STORE2", options->other,
                   "Store of the same pictures by a model of the same shape: after")
      ->required();
  AddClassOptions(verb, choice.classes, /*required=*/false);
  CLI::Option* properties = verb->add_option(
      "--properties", choice.properties, "Property table: labels of the heads before and after");
  CLI::Option* labels = verb->add_option("--labels", choice.labels,
                                         "File that 'cliplens label STORE --out FILE' wrote")
                            ->excludes(properties);
  CLI::Option* other = verb->add_option("--labels2", choice.other_labels, "The same of STORE2")
                           ->needs(labels)
                           ->excludes(properties);
  labels->needs(other);
  AddNumber(verb, "--most-images", choice.most_images, 1, 100'000,
            "Of more common pictures the heads are compared on every n-th by path");
  AddNumber(verb, "--count", options->view.heads, 1, 1'000'000, "Heads in the table");
  verb->add_option("--sort", options->view.order,
                   "cka: the least alike first; share: the largest "
                   "change of the share of variance first")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ChangeOrder>{
          {"cka", ChangeOrder::kSimilarity}, {"share", ChangeOrder::kShare}}));
  AddNumber(verb, "--flips", choice.flips, 0, 100'000, "Pictures with another answer to list");
  CLI::Option* image =
      verb->add_option("--image", choice.image, "A picture; the maps are then of each --text");
  CLI::Option* text =
      verb->add_option("--text", choice.texts, "A text for --image; as often as you like")
          ->allow_extra_args(false)
          ->take_all()
          ->needs(image);
  image->needs(text);
  verb->add_option("--images", choice.images, "The pictures, where the store's own have moved");
  AddModelOption(verb, choice.model);
  verb->add_option("--model2", choice.other_model.model,
                   "The second store's model, where it has moved");
  verb->add_option("--maps", options->maps,
                   "PNG to write: heat maps of both models side by side, of the listed flips or of "
                   "--image");
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every component");
}

}  // namespace cliplens::cli
