// cliplens heatmap MODEL --image F --text T --out h.png
#include <optional>

#include "cliplens/app/heads.h"
#include "cliplens/app/heat_maps.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/texts.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/heat_map_report.h"

namespace cliplens::cli {
namespace {

struct HeatmapArguments {
  ModelChoice model;
  std::string image;
  std::vector<std::string> texts;
  std::string against;
  ClassChoice classes;
  std::vector<std::string> directions;
  std::string span;
  HeadChoice heads;
  std::string scale = "auto";
  std::string out;
  std::string npy;
  bool exif_orientation = false;
};

std::optional<double> ParseScale(const std::string& text) {
  if (text == "auto") return std::nullopt;
  const double scale = ParseNumber<double>(text).value_or(0);
  if (!(scale > 0) || scale > 1e6) {
    throw Error(ErrorCode::kInvalidArgument,
                "--scale {}: auto, or the score of a patch that gets the full colour, above 0",
                text);
  }
  return scale;
}

std::vector<HeatMapPanel> TextPanels(const ClipModel& model, const TokenPass& pass,
                                     const HeatmapArguments& options, const Common& common) {
  TextMaps maps{.texts = options.texts,
                .against = options.against,
                .heads = ChooseHeads(options.heads, HeadsIn(model)),
                .heads_text = options.heads.Text(),
                .truncate = options.classes.truncate};
  std::optional<Classifier> classes;
  if (!options.classes.classes.empty()) {
    classes = OpenClassifier(model, options.classes, WorkOf(common));
    maps.classes = &*classes;
  }
  return PanelsOf(model, pass, maps, common.threads);
}

void Run(const HeatmapArguments& options, const Common& common) {
  if (options.texts.empty() == options.directions.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "give --text, or --direction with --span; one of the two");
  }
  if (options.directions.empty() != options.span.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--direction L11.H3:2 and --span FILE go together: the second text that 'cliplens "
                "span STORE --out FILE' found for the head L11.H3");
  }
  if (options.out.empty() && options.npy.empty() && !common.json) {
    throw Error(ErrorCode::kInvalidArgument, "nowhere to put the map: give --out, --npy or --json");
  }
  const std::optional<double> scale = ParseScale(options.scale);
  OutputFiles files({options.out, options.npy});
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const Image picture =
      ReadPicture(options.image, model.config().preprocess, options.exif_orientation);
  WarnOfOriented(OrientedIn(picture));
  const TokenPass pass = PassOf(model, picture, common.threads, options.image);
  HeatMapReport report;
  report.picture = MappedPictureOf(model, picture, options.image);
  report.scale = scale;
  report.panels = options.directions.empty() ? TextPanels(model, pass, options, common)
                                             : DirectionPanels(model, pass, options.span,
                                                               options.directions, common.threads);
  if (!options.out.empty()) files.Write(options.out, EncodePng(HeatMapSheet(report)));
  if (!options.npy.empty()) {
    const Index grid = model.config().grid();
    std::vector<float> values;
    for (const HeatMapPanel& panel : report.panels) {
      for (const double v : panel.map.grid.flat()) values.push_back(static_cast<float>(v));
    }
    const std::vector<Index> shape = {static_cast<Index>(report.panels.size()), grid, grid};
    WriteNpy(files, options.npy, values, shape);
  }
  files.Commit();
  if (common.json) return PrintJson(HeatMapJson(report));
  Print(HeatMapTable(report));
}

}  // namespace

void AddHeatmap(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<HeatmapArguments>(
      app, common, "heatmap", "Where in a picture its agreement with a text comes from",
      "cliplens heatmap pictureworld --image cat.png --text 'a cat' --text 'a dog' "
      "--out map.png");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  verb->add_option("--image", options->image, "The picture")->required();
  AddExifOption(verb, options->exif_orientation);
  CLI::Option* text = verb->add_option("--text", options->texts, "A text; as often as you like")
                          ->allow_extra_args(false)
                          ->take_all();
  CLI::Option* against =
      verb->add_option("--against", options->against, "A text whose map is taken off");
  CLI::Option* classes = verb->add_option("--against-classes", options->classes.classes,
                                          "Class file: the mean of the classes' maps is taken off, "
                                          "and a --text that names a class stands for it")
                             ->excludes(against);
  verb->add_option("--templates", options->classes.templates,
                   "Of --against-classes: a file with one template a line, imagenet (80) or simple")
      ->capture_default_str()
      ->needs(classes);
  verb->add_flag("--truncate", options->classes.truncate, "Cut texts longer than the context");
  AddHeadChoice(verb, options->heads);
  CLI::Option* direction =
      verb->add_option("--direction", options->directions,
                       "L11.H3:2, a text of --span through its head alone; as often as you like")
          ->allow_extra_args(false)
          ->take_all();
  direction->excludes(text);
  direction->excludes(against);
  direction->excludes(classes);
  direction->excludes("--heads");
  direction->excludes("--property");
  verb->add_option("--span", options->span, "File that 'cliplens span STORE --out FILE' wrote");
  verb->add_option("--scale", options->scale,
                   "Score of a patch that gets the full colour, or auto: the largest, rounded up")
      ->capture_default_str();
  verb->add_option("--out", options->out, "PNG to write: the maps over the picture, with a scale");
  verb->add_option("--npy", options->npy, "float32 .npy to write: the maps [texts, g, g]");
}

}  // namespace cliplens::cli
