// cliplens report STORE --texts FILE --out report.html
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/ablation.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/accuracy.h"
#include "cliplens/cli/grouping.h"
#include "cliplens/cli/labelling.h"
#include "cliplens/cli/scored_picture.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/file.h"
#include "cliplens/report/html_report.h"
#include "cliplens/report/json.h"

namespace cliplens::cli {
namespace {

struct ReportArguments {
  std::string store;
  std::string texts;
  ModelChoice model;
  std::string images;
  std::string heads = "all";
  std::string out;
  ReportOptions report;
  std::string properties;
  AccuracyOptions accuracy;
  GroupingOptions groups;
  std::string scored_image;
  std::vector<std::string> scored_texts;
};

ReportExtras MakeExtras(const Store& store, const ClipModel& model, const ReportArguments& options,
                        const Common& common) {
  ReportExtras extras;
  if (!options.properties.empty()) {
    LabellingOptions labelling;
    labelling.properties = options.properties;
    labelling.heads = options.heads;
    labelling.truncate = options.accuracy.truncate;
    extras.labels = MakeLabels(store, model, labelling, common);
  }
  if (!options.accuracy.classes.empty()) {
    AccuracyInput input = ReadAccuracyInput(store, model, options.accuracy, common);
    AblationOptions ablation;
    ablation.threads = common.threads;
    ablation.progress = Progress(common, "ablation");
    extras.ablation = ReportAblation{
        std::move(input.setting),
        Ablate(store, store.statistics(), input.classifier, input.labels.classes, ablation)};
  }
  if (!options.groups.attribute.empty()) {
    if (options.accuracy.classes.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--attribute makes groups of classes: name --classes");
    }
    GroupingOptions groups = options.groups;
    groups.lean = !groups.edit.empty();
    extras.groups = MakeGroups(store, options.store, model, groups, options.accuracy, common);
  } else if (!options.groups.edit.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--edit is shown by groups: name the attribute that makes them with --attribute");
  }
  if (!options.scored_image.empty()) {
    extras.scores =
        MakeScores(model, ReadPicture(options.scored_image), options.scored_image,
                   options.scored_texts, extras.labels ? &*extras.labels : nullptr, common.threads);
  }
  return extras;
}

void Run(ReportArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  const std::vector<HeadId> heads =
      ParseHeads(options.heads, static_cast<int>(store.basis().layers()),
                 static_cast<int>(store.basis().num_heads()));
  RefuseExisting(options.out);
  const TextPool pool = ReadTextPool(TextsPath(options.texts));
  const ClipModel model = LoadModelOf(store, options.model);
  const std::unique_ptr<ImageSet> images = OpenImagesOf(store, options.images);
  const Array<float, 2> texts = RowsOf(model, pool, options.accuracy.truncate, common);
  options.report.threads = common.threads;
  options.report.progress = Progress(common, "pictures");
  const ReportInput input =
      CollectReport(store, model.config(), images.get(), pool, texts, heads, options.report,
                    MakeExtras(store, model, options, common));
  const std::string page = RenderReport(input);
  WriteFileAtomically(options.out, page);
  if (common.json) {
    PrintJson({{"format", "cliplens.report/1"},
               {"heads", heads.size()},
               {"images", store.info().images},
               {"components", ComponentsJson(input.shares)},
               {"bytes", page.size()},
               {"out", options.out}});
  } else {
    Print(fmt::format("report of {} heads on {} pictures: {}\n", heads.size(), store.info().images,
                      options.out));
  }
}

}  // namespace

void AddReport(CLI::App& app, Common& common) {
  auto options = std::make_shared<ReportArguments>();
  options->report.span.count = 10;
  CLI::App* verb =
      AddVerb(app, common, "report", "One self-contained HTML page about the heads of a store",
              "cliplens report store --texts world/texts/phrases.txt --properties "
              "world/texts/properties.txt --classes world/texts/objects.txt --out report.html");
  verb->add_option("STORE", options->store, "Store directory")->required();
  verb->add_option(
          "--texts", options->texts,
          "Text pool, one text a line, or a shipped one: general, common_words, properties")
      ->required();
  verb->add_option("--out", options->out, "HTML file to write")->required();
  verb->add_option("--heads", options->heads, "L11.H3, L9-L11, last-4, all; commas between")
      ->capture_default_str();
  verb->add_option("--count", options->report.span.count, "Texts for each head")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  verb->add_option("--pictures", options->report.pictures,
                   "Pictures highest and lowest along each of a head's first texts")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  verb->add_option("--images", options->images, "The pictures, where the store's own have moved");
  verb->add_option("--properties", options->properties,
                   "Property table; the page then labels the heads");
  AddAccuracyOptions(verb, options->accuracy, /*required=*/false);
  verb->add_option("--attribute", options->groups.attribute,
                   "Attribute of the pictures: accuracy by group of class and attribute");
  verb->add_option("--edit", options->groups.edit, "Edit to show before and after, by group");
  CLI::Option* image = verb->add_option(
      "--image", options->scored_image,
      "A picture; the page then shows where its scores with each --text come from");
  CLI::Option* text =
      verb->add_option("--text", options->scored_texts, "A text for --image; as often as you like")
          ->allow_extra_args(false)
          ->take_all()
          ->needs(image);
  image->needs(text);
  AddModelOption(verb, options->model);
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
