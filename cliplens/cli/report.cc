// cliplens report STORE --texts FILE --out report.html
#include <memory>

#include <fmt/format.h>

#include "cliplens/app/heads.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/report_content.h"
#include "cliplens/app/shipped.h"
#include "cliplens/app/texts.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/file.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/html_report.h"
#include "cliplens/report/store_report.h"

namespace cliplens::cli {
namespace {

struct ReportArguments {
  std::string store;
  std::string texts;
  ModelChoice model;
  std::string images;
  std::string out;
  ReportOptions report;
  ExtrasChoice extras;
};

void Run(ReportArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  options.extras.model = options.model;
  options.extras.beside_model.fetch = options.model.fetch;
  options.extras.beside_model.option = "--beside-model";
  options.extras.neurons.texts = options.texts;
  options.extras.neurons.truncate = options.extras.classes.truncate;
  const std::vector<HeadId> heads = HeadsIn(store).Parse(options.extras.heads);
  RefuseExisting(options.out);
  const TextPool pool = ReadTextPool(TextsPath(options.texts), WarnOfBlankLines);
  const LoadedModel loaded = LoadModelOf(store, options.model);
  const ClipModel& model = *loaded;
  const std::unique_ptr<ImageSet> images = OpenImagesOf(store, options.images);
  const Work work = WorkOf(common);
  const Array<float, 2> texts = RowsOfPool(model, pool, options.extras.classes.truncate, work);
  options.report.threads = common.threads;
  options.report.progress = work.Stage("pictures");
  const ReportInput input = CollectReport(store, model.config(),
                                          {.heads = heads,
                                           .pool = pool,
                                           .texts = texts,
                                           .images = images.get(),
                                           .options = options.report},
                                          OpenExtras(store, model, options.extras, work));
  const std::string page = RenderReport(input);
  WriteFileAtomically(options.out, page);
  const ThumbnailSet& shown = input.thumbnails;
  if (shown.missing > 0) {
    PrintProblem(
        fmt::format("{} of the {} pictures of the page cannot be shown (the first: {}); say with "
                    "--images where they lie now",
                    shown.missing, shown.asked, shown.first_reason));
  }
  if (const auto& neurons = input.extras.neurons; neurons && neurons->missing > 0) {
    PrintProblem(fmt::format(
        "{} of the {} maps of neurons cannot be drawn{}; say with --neuron-images where the "
        "pictures of {} lie now",
        neurons->missing, neurons->maps + neurons->missing,
        neurons->problem.empty() ? "" : " (" + neurons->problem + ")",
        options.extras.neurons.store));
  }
  if (common.json) return PrintJson(ReportJson(input, std::ssize(page), options.out));
  Print(fmt::format("report of {} heads on {} pictures: {}\n", heads.size(), store.info().images,
                    options.out));
}

}  // namespace

void AddReport(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ReportArguments>(
      app, common, "report", "One self-contained HTML page about the heads of a store",
      "cliplens report store --texts world/texts/phrases.txt --properties "
      "world/texts/properties.txt --classes world/texts/objects.txt --out report.html");
  options->report.span.count = 10;
  AddStoreArgument(verb, options->store, "Store directory");
  AddTextsOption(verb, options->texts);
  verb->add_option("--out", options->out, "HTML file to write")->required();
  AddHeadsOption(verb, options->extras.heads);
  AddNumber(verb, "--count", options->report.span.count, 1, 1'000, "Texts for each head");
  AddNumber(verb, "--pictures", options->report.pictures, 0, 100,
            "Pictures highest and lowest along each of a head's first texts");
  verb->add_option("--images", options->images, "The pictures, where the store's own have moved");
  verb->add_option("--properties", options->extras.properties,
                   "Property table; the page then labels the heads");
  AddClassOptions(verb, options->extras.classes, /*required=*/false);
  verb->add_option("--attribute", options->extras.attribute,
                   "Attribute of the pictures: accuracy by group of class and attribute");
  verb->add_option("--edit", options->extras.edit, "Edit to show before and after, by group");
  CLI::Option* image = verb->add_option(
      "--image", options->extras.image,
      "A picture; the page then shows where its scores with each --text come from");
  CLI::Option* text =
      verb->add_option("--text", options->extras.texts, "A text for --image; as often as you like")
          ->allow_extra_args(false)
          ->take_all()
          ->needs(image);
  image->needs(text);
  CLI::Option* beside = verb->add_option(
      "--beside", options->extras.beside,
      "Store of the same pictures by a model of the same shape, such as before or after "
      "fine-tuning; the page then says what changed");
  verb->add_option("--beside-model", options->extras.beside_model.model,
                   "The second store's model (default: what the store names)")
      ->needs(beside);
  CLI::Option* neurons =
      verb->add_option("--neurons", options->extras.neurons.store,
                       "Store of neurons of the same model; the page then shows those that matter "
                       "most in each layer, and which of them feed a head");
  verb->add_option("--neuron-images", options->extras.neurons.images,
                   "The pictures of the store of neurons, where they have moved")
      ->needs(neurons);
  AddModelOption(verb, options->model);
}

}  // namespace cliplens::cli
