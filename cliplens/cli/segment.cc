// cliplens segment MODEL --image F (--text T | --classes FILE) --out mask.png
// cliplens evaluate segmentation MODEL --images SET --classes FILE
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/masks.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/texts.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/segmentation_report.h"

namespace cliplens::cli {
namespace {

struct SegmentOptions {
  ModelChoice model;
  MapChoice maps;
  MapCut cut = MapCut::kMean;
  std::string image;
  std::string text;
  ClassChoice classes;  // no label is asked for
  std::string class_name;
  std::string out;
  std::string npy;
  bool exif_orientation = false;
};

void Run(const SegmentOptions& options, const Common& common) {
  if (options.text.empty() && options.classes.classes.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "name what to look for with --text or --classes");
  }
  OutputFiles files({options.out, options.npy});
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const Image image =
      ReadPicture(options.image, model.config().preprocess, options.exif_orientation);
  WarnOfOriented(OrientedIn(image));
  MaskChoice choice{
      .text = options.text, .heads_text = options.maps.heads.Text(), .cut = options.cut};
  std::optional<Classifier> classes;
  if (options.text.empty()) {
    classes = OpenClassifier(model, options.classes, WorkOf(common));
    choice.classes = &*classes;
    choice.class_name = options.class_name;
  } else {
    choice.row = model.EmbedTexts({&options.text, 1}, options.classes.truncate, common.threads);
  }
  const ClassMaps maps = OpenMaps(model, choice.rows(), options.maps, common.threads);
  const TokenPass pass = PassOf(model, image, common.threads, options.image, maps.captures());
  const MaskedPicture masked = MaskPicture(model, maps, pass, image, options.image, choice);
  const PictureMask& mask = masked.mask;
  files.Write(options.out, EncodePng(masked.image));
  WriteNpy(files, options.npy, masked.values.flat(), masked.values.shape());
  files.Commit();
  if (common.json) return PrintJson(PictureMaskJson(mask));
  Print(fmt::format(
      "{}: {} of {} pixels are '{}'{}{}{}\n", options.out, mask.object_pixels,
      image.width * image.height, mask.text,
      mask.answer ? fmt::format(", the answer among {} classes", mask.classes) : "",
      mask.method == MapMethod::kDecomposition ? "" : fmt::format(", by {}", NameOf(mask.method)),
      !mask.empty                 ? ""
      : mask.cut == MapCut::kMean ? "; the map has no value above 0"
                                  : "; the map is constant"));
}

struct EvaluateOptions {
  ModelChoice model;
  ImagesChoice images;
  SegmentationChoice segmentation;
  int ignore = -1;
  std::string maps;
};

void Run(EvaluateOptions& options, const Common& common) {
  OutputFiles files({options.maps});
  SegmentationOptions& segmentation = options.segmentation.options;
  if (options.ignore >= 0) segmentation.ignore = options.ignore;
  segmentation.keep_maps = !options.maps.empty();
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const std::unique_ptr<ImageSet> set = OpenImages(options.images, segmentation.on_error);
  const SegmentationReport report =
      SegmentPictures(model, *set, options.segmentation, WorkOf(common));
  const SegmentationResult& result = report.result;
  WarnOfLosses(set->left_out(), result.oriented, result.skipped, result.incomplete, set->size());
  const Array<float, 3>& maps = result.maps;
  WriteNpy(files, options.maps, maps.flat(), maps.shape());
  files.Commit();
  if (common.json) return PrintJson(SegmentationJson(report));
  Print(SegmentationTable(report));
}

// --method and what it looks at, and --cut.
void AddMapOptions(CLI::App* verb, MapChoice& choice, MapCut& cut) {
  AddHeadChoice(verb, choice.heads);
  std::map<std::string, MapMethod> methods;
  for (const MapMethod method : {MapMethod::kDecomposition, MapMethod::kRawAttention,
                                 MapMethod::kRollout, MapMethod::kPatchText, MapMethod::kNeurons,
                                 MapMethod::kNeuronEffects, MapMethod::kBackground}) {
    methods[NameOf(method)] = method;
  }
  verb->add_option("--method", choice.method, "Where maps come from")
      ->transform(CLI::CheckedTransformer(methods))
      ->option_text(
          "decomposition|raw-attention|rollout|patch-text|neurons|neuron-effects|background "
          "[decomposition]");
  verb->add_option("--neurons", choice.neurons,
                   "Store of neurons whose directions --method neurons uses");
  verb->add_option("--layers", choice.layers,
                   "Layers of neurons: 8-10, 9, last-3 (default: all of the store)");
  AddNumber(verb, "--top-neurons", choice.top_neurons, 1, 1'000'000,
            "Neurons of a class that --method neurons takes");
  std::map<std::string, MapCut> cuts;
  for (const MapCut one : {MapCut::kMean, MapCut::kHalf}) cuts[NameOf(one)] = one;
  verb->add_option("--cut", cut,
                   "What is object: above the mean of what is above 0, or above one half of the "
                   "map's range")
      ->transform(CLI::CheckedTransformer(cuts))
      ->option_text("mean|half [mean]");
}

}  // namespace

void AddSegment(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<SegmentOptions>(
      app, common, "segment", "Mask of the object that a text or a class names, from its heat map",
      "cliplens segment pictureworld --image duck.png --classes "
      "world/texts/objects.txt --out mask.png");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddMapOptions(verb, options->maps, options->cut);
  verb->add_option("--image", options->image, "The picture")->required();
  AddExifOption(verb, options->exif_orientation);
  CLI::Option* text = verb->add_option("--text", options->text,
                                       "What to look for; nothing is "
                                       "subtracted from its map");
  CLI::Option* classes =
      verb->add_option("--classes", options->classes.classes,
                       "File with one class a line: the map of the class that the model answers, "
                       "minus the mean over the classes")
          ->excludes(text);
  verb->add_option("--class", options->class_name, "This class instead of the answer")
      ->needs(classes);
  AddTemplatesOption(verb, options->classes);
  verb->add_flag("--truncate", options->classes.truncate, "Cut texts longer than the context");
  verb->add_option("--out", options->out, "PNG of the picture's size to write: 255 is the object")
      ->required();
  verb->add_option("--npy", options->npy,
                   "The map itself, float32 [height, width] from 0 to 1, 0 beside what the model "
                   "saw");
}

void AddEvaluateSegmentation(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<EvaluateOptions>(
      app, common, "segmentation", "Zero-shot segmentation against masks",
      "cliplens evaluate segmentation pictureworld --images world/sets/single --classes "
      "world/texts/objects.txt --templates world/texts/objects.templates.txt");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddImagesOption(verb, options->images);
  AddClassOptions(verb, options->segmentation.classes);
  SegmentationOptions& segmentation = options->segmentation.options;
  AddMapOptions(verb, options->segmentation.maps, segmentation.cut);
  std::map<std::string, MapGeometry> geometries;
  for (const MapGeometry geometry :
       {MapGeometry::kAligned, MapGeometry::kSquash, MapGeometry::kReference}) {
    geometries[NameOf(geometry)] = geometry;
  }
  verb->add_option("--geometry", segmentation.geometry,
                   "What is seen of picture and mask: both cut as the model does, both made "
                   "square, or as the paper's code")
      ->transform(CLI::CheckedTransformer(geometries))
      ->option_text("aligned|squash|reference [aligned]");
  verb->add_flag("--truth", segmentation.truth,
                 "Maps of the pictures' labels instead of the model's answers");
  verb->add_option("--ignore", options->ignore,
                   "Value of mask pixels that are not counted (default: the set's own)")
      ->check(CLI::Range(0, 255));
  verb->add_option("--maps", options->maps,
                   "The maps before they are enlarged: float32 .npy [pictures, grid, grid] of the "
                   "counted pictures in their order");
  AddOnError(verb, segmentation.on_error);
}

}  // namespace cliplens::cli
