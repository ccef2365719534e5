// cliplens classify MODEL --images PATH --classes FILE
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/edit_choice.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/report/table.h"

namespace cliplens::cli {
namespace {

struct ClassifyArguments {
  ModelChoice model;
  ImagesChoice images;
  std::string classes;
  std::string templates = "imagenet";
  std::string label;
  Index count = 5;
  EditChoice edit;
  bool truncate = false;
  OnError on_error = OnError::kStop;
};

void Run(const ClassifyArguments& options, const Common& common) {
  const ClipModel model = LoadModel(options.model);
  const ChosenEdit edit(options.edit, model);
  const std::unique_ptr<ImageSet> set = OpenImages(options.images);
  const ClassFile classes = ReadClassFile(options.classes);
  const std::vector<std::string> templates = ReadTemplates(options.templates);
  const Array<float, 2> classifier =
      ClassifierOf(model, classes, templates, options.truncate, common).rows;
  const EmbeddedImages embedded =
      EmbedReadableImages(model, *set, options.on_error, common.threads,
                          Progress(common, "pictures"), edit.ForEmbedding());
  const Array<float, 2>& rows = embedded.rows;
  WarnOfSkipped(embedded.skipped, set->size());
  const ClassLabels labels(classes);
  Index labelled = 0;
  Index correct = 0;
  Index foreign = 0;  // pictures whose label is no class
  Json results = Json::array();
  Table table({{"picture"}, {"class"}, {"p", Align::kRight}, {"label"}});
  for (Index i = 0; i < rows.dim(0); ++i) {
    const std::vector<ClassScore> top =
        TopClasses(rows.row(i), classifier, model.logit_scale(), options.count);
    const Item item = set->item(At(embedded.index, i));
    const std::optional<std::string> label = LabelOf(item, options.label);
    if (label) {
      const Index index = labels.IndexOf(*label);
      if (index < 0) {
        ++foreign;
      } else {
        ++labelled;
        if (index == top.front().index) ++correct;
      }
    }
    const auto name = [&](const ClassScore& s) { return At(classes.names, s.index); };
    if (common.json) {
      Json best = Json::array();
      for (const ClassScore& s : top) {
        best.push_back(
            {{"class", name(s)}, {"similarity", s.similarity}, {"probability", s.probability}});
      }
      Json row = {{"path", item.path}, {"top", best}};
      if (label) row["label"] = *label;
      results.push_back(row);
    } else {
      for (std::size_t k = 0; k < top.size(); ++k) {
        table.AddRow({k == 0 ? item.path : "", name(top[k]),
                      fmt::format("{:.3f}", top[k].probability), k == 0 ? label.value_or("") : ""});
      }
    }
  }
  if (!options.label.empty() && labelled + foreign == 0) {
    throw Error(ErrorCode::kNotFound,
                "{}: no picture has the attribute '{}' that --label names; attributes "
                "come from the columns of tables and the .json members of shards",
                options.images.images, options.label);
  }
  const double accuracy =
      labelled > 0 ? static_cast<double>(correct) / static_cast<double>(labelled) : 0.0;
  if (common.json) {
    Json result = {{"format", "cliplens.classify/1"},
                   {"model", model.name()},
                   {"precision", NameOf(model.precision())},
                   {"images", rows.dim(0)},
                   {"classes", classes.names},
                   {"templates", templates.size()},
                   {"labelled", labelled},
                   {"labels_not_among_classes", foreign}};
    edit.PutInto(result);
    if (labelled > 0) result["accuracy"] = accuracy;
    if (!embedded.skipped.empty()) result["skipped"] = SkippedListJson(embedded.skipped);
    result["results"] = results;
    PrintJson(result);
    return;
  }
  std::string out = table.Render();
  if (labelled > 0) {
    out += fmt::format("\naccuracy {:.4f} ({} of {} pictures with a label among the {} classes)\n",
                       accuracy, correct, labelled, classes.names.size());
  }
  if (foreign > 0) out += fmt::format("{} pictures have a label that is no class\n", foreign);
  Print(out);
}

}  // namespace

void AddClassify(CLI::App& app, Common& common) {
  auto options = std::make_shared<ClassifyArguments>();
  CLI::App* verb = AddVerb(
      app, common, "classify", "Zero-shot classes of pictures, and accuracy where labels are known",
      "cliplens classify pictureworld --images world/sets/test --classes world/texts/objects.txt "
      "--templates world/texts/objects.templates.txt -k 1");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddImagesOption(verb, options->images);
  verb->add_option("--classes", options->classes,
                   "File with one class a line, optionally a tab and its label")
      ->required();
  verb->add_option("--templates", options->templates,
                   "File with one template a line ({} is the class), imagenet (80) or simple")
      ->capture_default_str();
  verb->add_option("--label", options->label,
                   "Attribute that holds the label (default: the picture's own label)");
  verb->add_option("-k,--count", options->count, "Classes to list for each picture")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  AddEditChoice(verb, options->edit);
  AddOnError(verb, options->on_error);
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
