// cliplens describe MODEL (--image F | --images PATH | --store STORE) [--texts FILE]
#include "cliplens/app/description.h"
#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/description_report.h"

namespace cliplens::cli {
namespace {

struct DescribeArguments {
  ModelChoice model;
  DescriptionChoice choice;
  std::string out;
};

void WarnOf(const DescribedPictures& pictures) {
  WarnOfLosses(pictures.left_out, pictures.oriented, pictures.skipped, pictures.incomplete,
               pictures.set_size);
}

void Run(const DescribeArguments& options, const Common& common) {
  OutputFiles files({options.out});
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const Description description = Describe(model, options.choice, WorkOf(common));
  const Json json = DescriptionJson(description);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Commit();
  WarnOf(description.pictures);
  if (description.minus) WarnOf(*description.minus);
  if (common.json) return PrintJson(json);
  Print(DescriptionTable(description));
}

}  // namespace

void AddDescribe(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<DescribeArguments>(
      app, common, "describe", "Pictures, or what a head adds to them, as a sum of a few texts",
      "cliplens describe pictureworld --image duck.png --means store --texts "
      "world/texts/phrases.txt");
  DescriptionChoice& choice = options->choice;
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  auto* source = AddOneOf(verb, "pictures");
  source->add_option("--image", choice.pictures.images.images, "One picture");
  AddImagesOption(verb, choice.pictures.images, source);
  CLI::Option* store =
      source->add_option("--store", choice.pictures.store, "A store of pictures, by this model");
  CLI::Option* only = verb->add_option("--only", choice.pictures.only,
                                       "Only pictures with this ATTRIBUTE=VALUE, or label=VALUE");
  verb->add_option("--item", choice.pictures.item,
                   "Only this picture of the store (by number, from 0)")
      ->needs(store)
      ->excludes(only);
  verb->add_option("--minus", choice.minus, "Pictures, or a store, whose mean is taken off");
  verb->add_option("--minus-only", choice.minus_only,
                   "Of what is taken off only pictures with this ATTRIBUTE=VALUE; without --minus: "
                   "of the same pictures");
  verb->add_option("--means", choice.means,
                   "Store whose mean is taken off, statistics are enough (default: --store, where "
                   "a part of it is described)");
  verb->add_option("--components,--head", choice.components,
                   "Describe what these add instead of the whole embedding: L11.H3, L9 (all heads "
                   "of it), L9.MLP, INPUT, POOL.MLP; commas between");
  AddTextsOption(verb, choice.texts);
  AddNumber(verb, "--count", choice.count, 1, 1'000, "Most texts");
  AddOnError(verb, choice.on_error);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_flag("--truncate", choice.truncate, "Cut texts longer than the context");
}

}  // namespace cliplens::cli
