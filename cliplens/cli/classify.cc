// cliplens classify MODEL --images PATH --classes FILE
#include <memory>

#include "cliplens/app/classification.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/classify_report.h"

namespace cliplens::cli {
namespace {

struct ClassifyArguments {
  ModelChoice model;
  ImagesChoice images;
  ClassifyChoice classify;
  EditChoice edit;
};

void Run(const ClassifyArguments& options, const Common& common) {
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const ChosenEdit edit(options.edit, model);
  const std::unique_ptr<ImageSet> set = OpenImages(options.images, options.classify.on_error);
  const ClassifyReport report =
      ClassifyPictures(model, *set, options.classify, edit, WorkOf(common));
  WarnOfLosses(set->left_out(), report.oriented, report.skipped, report.incomplete, set->size());
  if (common.json) return PrintJson(ClassifyJson(report, edit));
  Print(ClassifyTable(report));
}

}  // namespace

void AddClassify(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ClassifyArguments>(
      app, common, "classify", "Zero-shot classes of pictures, and accuracy where labels are known",
      "cliplens classify pictureworld --images world/sets/test --classes world/texts/objects.txt "
      "--templates world/texts/objects.templates.txt -k 1");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddImagesOption(verb, options->images);
  AddClassOptions(verb, options->classify.classes);
  AddNumber(verb, "-k,--count", options->classify.count, 1, 1'000'000,
            "Classes to list for each picture");
  AddEditChoice(verb, options->edit);
  AddOnError(verb, options->classify.on_error);
}

}  // namespace cliplens::cli
