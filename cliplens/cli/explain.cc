// cliplens explain MODEL --image F (--text T | --classes FILE)
#include <map>
#include <optional>
#include <string_view>

#include "cliplens/app/explanations.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/texts.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"
#include "cliplens/neurons/neuron_id.h"
#include "cliplens/report/explanation_report.h"

namespace cliplens::cli {
namespace {

struct ExplainArguments {
  ModelChoice model;
  std::string image;
  std::string text;
  ClassChoice classes;
  std::string class_name;
  std::string against;
  std::string labels;
  Index top = 8;
  std::string through;
  std::string out;
  bool exif_orientation = false;
};

// "L9" of the image tower, "text:L9" of the text tower.
void SetThrough(const std::string& through, const ClipModel& model, ExplanationChoice& choice) {
  if (through.empty()) return;
  constexpr std::string_view kText = "text:";
  std::string_view layer = through;
  choice.through_text = layer.starts_with(kText);
  if (choice.through_text) layer.remove_prefix(kText.size());
  const Tower& tower = choice.through_text ? model.text_tower() : model.image_tower();
  choice.through = ParseNeuronLayer(layer, tower.config().layers);
}

void Run(const ExplainArguments& options, const Common& common) {
  if (options.text.empty() && options.classes.classes.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "give --text with a word in it, or --classes");
  }
  OutputFiles files({options.out});
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const Image picture =
      ReadPicture(options.image, model.config().preprocess, options.exif_orientation);
  WarnOfOriented(OrientedIn(picture));
  const std::map<HeadId, std::string> labels = ReadNamesOfHeads(options.labels, HeadsIn(model));
  ExplanationChoice choice{.text = options.text,
                           .against = options.against,
                           .truncate = options.classes.truncate,
                           .top = options.top};
  SetThrough(options.through, model, choice);
  const TokenPass pass = PassOf(
      model, picture, common.threads, options.image,
      choice.through && !choice.through_text ? CapturesThrough(*choice.through) : TokenCaptures());
  std::optional<Classifier> classes;
  if (!options.classes.classes.empty()) {
    classes = OpenClassifier(model, options.classes, WorkOf(common));
    choice.classes = &*classes;
    choice.class_name = options.class_name;
  }
  ExplanationReport report = ExplainPicture(model, pass, choice, common.threads);
  report.picture = MappedPictureOf(model, picture, options.image);
  report.labels = labels;
  report.top = options.top;
  if (!options.out.empty()) files.Write(options.out, EncodePng(ExplanationSheet(report)));
  files.Commit();
  if (common.json) return PrintJson(ExplanationJson(report));
  Print(ExplanationTable(report));
}

}  // namespace

void AddExplain(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ExplainArguments>(
      app, common, "explain", "What each component, patch and word brings to one score",
      "cliplens explain pictureworld --image cat.png --text 'a picture of a cat' --out why.png");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  verb->add_option("--image", options->image, "The picture")->required();
  AddExifOption(verb, options->exif_orientation);
  CLI::Option* text = verb->add_option("--text", options->text, "The text that is scored");
  CLI::Option* classes =
      verb->add_option("--classes", options->classes.classes,
                       "Class file: the picture's best class is explained, against the runner-up")
          ->excludes(text);
  verb->add_option("--class", options->class_name, "A class of --classes instead of the best one")
      ->needs(classes);
  verb->add_option("--against", options->against,
                   "What is taken off: a text, or with --classes a class, runner-up (the default "
                   "there) or mean");
  verb->add_option("--templates", options->classes.templates,
                   "Of --classes: a file with one template a line, imagenet (80) or simple; with "
                   "one template the words are told apart")
      ->capture_default_str()
      ->needs(classes);
  verb->add_flag("--truncate", options->classes.truncate, "Cut texts longer than the context");
  verb->add_option("--labels", options->labels,
                   "File that 'cliplens label STORE --out FILE' wrote, to name heads by");
  AddNumber(verb, "--top", options->top, 1, 100'000, "Components to list on each side");
  verb->add_option("--through", options->through,
                   "A layer, as L9, or text:L9 of the text tower: the score is also split over its "
                   "neurons and the later heads that carry what they write");
  verb->add_option("--out", options->out, "PNG to write");
}

}  // namespace cliplens::cli
