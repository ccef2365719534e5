// cliplens neurons collect|words|show|ablate|reconstruct|discover|cue|weights

#include "cliplens/app/neurons.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/neuron_picture_report.h"
#include "cliplens/report/neuron_report.h"
#include "cliplens/report/neuron_weight_report.h"

namespace cliplens::cli {
namespace {

struct CollectArguments {
  ModelChoice model;
  ImagesChoice images;
  CollectOptions collect;
  std::string texts;
  bool truncate = false;
  std::string layers = "last-3";
  std::string part;
  Index top = 0;
};

void Run(CollectArguments& options, const Common& common) {
  const bool text = !options.texts.empty();
  options.model.with_text = text;
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  CollectOptions& collect = options.collect;
  collect.layers = ParseNeuronLayers(
      options.layers, (text ? model.text_tower() : model.image_tower()).config().layers);
  if (!options.part.empty()) collect.part = ParseStorePart(options.part);
  if (options.top > 0) collect.top = options.top;
  collect.threads = common.threads;
  collect.progress = [&](const char* stage) { return Progress(common, stage); };
  const auto start = std::chrono::steady_clock::now();
  CollectResult result;
  LeftOut left_out;
  if (text) {
    const std::string file = TextsPath(options.texts);
    result = CollectNeuronsOfTexts(model, ReadTextPool(file, WarnOfBlankLines), file,
                                   options.truncate, collect);
  } else {
    const std::unique_ptr<ImageSet> set = OpenImages(options.images, collect.on_error);
    result = CollectNeurons(model, *set, collect);
    left_out = set->left_out();
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  WarnOfLosses(left_out, result.oriented, result.skipped, result.incomplete,
               result.pictures + static_cast<Index>(result.skipped.size()));
  if (common.json) return PrintJson(CollectJson(model, collect, result, left_out, seconds));
  const char* const items = text ? "texts" : "pictures";
  if (result.complete_already) {
    Print(fmt::format("{} was complete already: {} {}\n", collect.out.string(), result.pictures,
                      items));
    return;
  }
  const LayerRange& layers = collect.layers;
  const std::string named = layers.size() == 1
                                ? fmt::format("layer {}", layers.begin)
                                : fmt::format("layers {} to {}", layers.begin, layers.end - 1);
  Print(fmt::format("neurons of {} on {} {} collected in {:.1f} s into {}\n", named,
                    result.pictures, items, seconds, collect.out.string()));
}

void AddCollect(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<CollectArguments>(
      app, common, "collect", "Collect what neurons do on pictures: a store of neurons",
      "cliplens neurons collect pictureworld --images photos/ --layers last-3 --out nstore");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  CLI::App* group = AddOneOf(verb, "What the model looks at");
  AddImagesOption(verb, options->images, group);
  group->add_option("--texts", options->texts,
                    "Text pool: neurons of the text tower, on these texts");
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
  verb->add_option("--out", options->collect.out, "Store directory to make")->required();
  verb->add_option("--layers", options->layers,
                   "Layers whose neurons are wanted: 8-10, 9, last-3 or all (the last layer has no "
                   "attention after it)")
      ->capture_default_str();
  AddNumber(verb, "--top", options->top, 0, 1'000'000'000,
            "Pictures of largest effect that a direction is made of; 0: 100, or a tenth of the "
            "pictures where that is less");
  verb->add_flag("--stats-only", options->collect.stats_only,
                 "Keep statistics only: store and memory do not grow with the pictures, which are "
                 "encoded twice");
  verb->add_flag("--resume", options->collect.resume,
                 "Go on with what an interrupted run with the same arguments left");
  verb->add_option("--shard", options->part,
                   "Do part i of n only (i/n, from 0/n); merge makes the whole of all parts");
  AddNumber(verb, "--shard-images", options->collect.shard_images, 1, 65536,
            "Pictures in a shard file, which are held in memory, and done again, at once");
  AddOnError(verb, options->collect.on_error);
}

struct WordsArguments {
  std::string store;
  ModelChoice model;
  NeuronWordsChoice words;
  std::string scale = "unit";
  std::string pictures = "top";
  Index most = 20;
  std::string out;
  std::string csv;
  std::string npz;
};

void AddScaleOption(CLI::App* verb, std::string& scale) {
  verb->add_option("--normalize", scale,
                   "Texts about their mean: each made unit, or scaled by coordinate as in the "
                   "paper's code")
      ->check(CLI::IsMember({"unit", "reference"}))
      ->capture_default_str();
}

TextScale ScaleNamed(const std::string& name) {
  return name == "reference" ? TextScale::kReference : TextScale::kUnit;
}

void Run(WordsArguments& options, const Common& common) {
  OutputFiles files({options.out, options.csv, options.npz});
  const NeuronStore store = NeuronStore::Open(options.store);
  const LazyModel model(store.info(), options.store, options.model);
  options.words.scale = ScaleNamed(options.scale);
  options.words.pictures = options.pictures == "all" ? NeuronPictures::kAll : NeuronPictures::kTop;
  const NeuronWordsReport report =
      DescribeNeurons(store, model.ForRows(), options.words, WorkOf(common));
  const Json json = NeuronWordsJson(report);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, NeuronWordsCsv(report));
  if (!options.npz.empty()) files.Write(options.npz, NeuronWordsNpz(report));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(NeuronWordsTable(report, options.most));
}

void AddWords(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<WordsArguments>(
      app, common, "words", "What neurons do, in a few words each",
      "cliplens neurons words nstore --texts world/texts/phrases.txt --count 5");
  AddStoreArgument(verb, options->store, "Store of neurons");
  AddTextsOption(verb, options->words.texts);
  verb->add_option("--neurons", options->words.neurons,
                   "Neurons and layers, as L9.N2914,L10 (default: all)");
  AddNumber(verb, "--count", options->words.count, 1, 4096, "Texts for a neuron");
  verb->add_option("--directions", options->pictures,
                   "Directions from the pictures of largest effect, or from all")
      ->check(CLI::IsMember({"top", "all"}))
      ->capture_default_str();
  AddScaleOption(verb, options->scale);
  AddNumber(verb, "--most", options->most, 1, 1'000'000,
            "Neurons to list, those of largest variance; files have all");
  AddModelOption(verb, options->model);
  verb->add_flag("--truncate", options->words.truncate, "Cut texts longer than the context");
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every word of every neuron");
  verb->add_option("--npz", options->npz, "NPZ file to write: directions, and weights of texts");
}

struct AblateNeuronsArguments {
  std::string store;
  ModelChoice model;
  NeuronAblationChoice ablation;
  std::string out;
  std::string csv;
  std::string svg;
};

void AddAblationOptions(CLI::App* verb, std::string& store, ModelChoice& model,
                        NeuronAblationChoice& choice) {
  AddStoreArgument(verb, store, "Store of neurons");
  AddClassOptions(verb, choice.classes);
  verb->add_option("--layers", choice.layers, "Layers: 8-10, 9, last-3 (default: all of STORE)");
  verb->add_option("--directions", choice.directions,
                   "Store of neurons whose means, directions and thresholds are used (default: "
                   "STORE's own)");
  AddModelOption(verb, model);
}

void Run(const AblateNeuronsArguments& options, const Common& common) {
  OutputFiles files({options.out, options.csv, options.svg});
  const NeuronStore store = NeuronStore::Open(options.store);
  const LazyModel model(store.info(), options.store, options.model);
  const NeuronAblationReport report =
      AblateNeuronLayers(store, model, options.ablation, WorkOf(common));
  const Json json = NeuronAblationJson(report);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, NeuronAblationCsv(report));
  files.Write(options.svg, RenderCurve(NeuronAblationCurve(report)));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(NeuronAblationTable(report));
}

void AddAblateNeurons(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<AblateNeuronsArguments>(
      app, common, "ablate", "Accuracy when neurons' effects are replaced by their means",
      "cliplens neurons ablate nstore --classes world/texts/objects.txt --svg figure.svg");
  AddAblationOptions(verb, options->store, options->model, options->ablation);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every row of every layer");
  verb->add_option("--svg", options->svg, "SVG file to write, accuracy by layer");
}

struct ReconstructNeuronsArguments {
  std::string store;
  ModelChoice model;
  NeuronReconstructionChoice choice;
  std::string scale = "unit";
  bool raw = false;
  std::string out;
  std::string csv;
  std::string svg;
};

void Run(ReconstructNeuronsArguments& options, const Common& common) {
  if (!options.svg.empty() && options.choice.texts.size() > kMostCurveSeries) {
    throw Error(ErrorCode::kInvalidArgument,
                "--svg draws {} pools at most, {} are named; name fewer --texts", kMostCurveSeries,
                options.choice.texts.size());
  }
  OutputFiles files({options.out, options.csv, options.svg});
  const NeuronStore store = NeuronStore::Open(options.store);
  const LazyModel model(store.info(), options.store, options.model);
  options.choice.scale = ScaleNamed(options.scale);
  options.choice.unit = !options.raw;
  const std::vector<NeuronReconstructionReport> reports =
      ReconstructNeurons(store, model, options.choice, WorkOf(common));
  const Json json = NeuronReconstructionJson(reports);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, NeuronReconstructionCsv(reports));
  if (!options.svg.empty()) {
    files.Write(options.svg, RenderPanels(NeuronReconstructionCurves(reports)));
  }
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(NeuronReconstructionTable(reports));
}

void AddReconstructNeurons(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ReconstructNeuronsArguments>(
      app, common, "reconstruct", "Accuracy when neurons keep the sums of their texts",
      "cliplens neurons reconstruct nstore --classes world/texts/objects.txt --texts "
      "world/texts/phrases.txt --counts 1,8,64");
  AddAblationOptions(verb, options->store, options->model, options->choice.ablation);
  verb->add_option("--texts", options->choice.texts, "Text pools; may be given several times")
      ->capture_default_str();
  verb->add_option("--counts", options->choice.counts, "Texts a neuron; commas between")
      ->delimiter(',')
      ->capture_default_str();
  AddScaleOption(verb, options->scale);
  verb->add_flag("--raw", options->raw,
                 "Project effects on the sum of texts as it is, as the paper's code does");
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write");
  verb->add_option("--svg", options->svg,
                   "SVG file to write, accuracy by number of texts, a figure for each layer");
}

void AddWordOptions(CLI::App* verb, NeuronWordsChoice& words, std::string& scale) {
  AddTextsOption(verb, words.texts);
  AddNumber(verb, "--count", words.count, 1, 4096, "Texts for a neuron");
  AddScaleOption(verb, scale);
  verb->add_flag("--truncate", words.truncate, "Cut texts longer than the context");
}

struct ShowArguments {
  std::string store;
  ModelChoice model;
  NeuronShowChoice show;
  std::string scale = "unit";
  std::string maps;
  std::string out;
};

void Run(ShowArguments& options, const Common& common) {
  OutputFiles files({options.maps, options.out});
  const NeuronStore store = NeuronStore::Open(options.store);
  const LazyModel model(store.info(), options.store, options.model);
  options.show.words.scale = ScaleNamed(options.scale);
  options.show.maps = !options.maps.empty();
  const NeuronShown shown = ShowNeuron(store, model, options.show, WorkOf(common));
  const Json json = NeuronShownJson(shown);
  if (!options.maps.empty()) files.Write(options.maps, EncodePng(NeuronShownSheet(shown)));
  files.Write(options.out, DumpJson(json) + "\n");
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(NeuronShownTable(shown));
}

void AddShowNeurons(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ShowArguments>(
      app, common, "show", "One neuron: its words, the heads that carry it, its pictures",
      "cliplens neurons show nstore L4.N12 --texts world/texts/phrases.txt --maps neuron.png");
  AddStoreArgument(verb, options->store, "Store of neurons");
  verb->add_option("NEURON", options->show.neuron, "The neuron, as L9.N2914")->required();
  AddWordOptions(verb, options->show.words, options->scale);
  AddNumber(verb, "--heads", options->show.heads, 1, 100'000, "Heads to list, the strongest");
  AddNumber(verb, "--pictures", options->show.pictures, 1, 1'000,
            "Pictures to list, those of largest effect");
  verb->add_option("--maps", options->maps, "PNG to write: where the neuron fires in them");
  verb->add_option("--images", options->show.images,
                   "Where the store's pictures are, if they have moved");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
}

struct DiscoverArguments {
  std::string store;
  ModelChoice model;
  DiscoveryChoice discovery;
  std::string scale = "unit";
  std::string image;
  bool exif_orientation = false;
  std::string out;
};

void Run(DiscoverArguments& options, const Common& common) {
  OutputFiles files({options.out});
  const NeuronStore store = NeuronStore::Open(options.store);
  const LoadedModel loaded = LoadModelOf(store.info(), options.store, options.model);
  const ClipModel& model = *loaded;
  options.discovery.words.scale = ScaleNamed(options.scale);
  const Image picture =
      ReadPicture(options.image, model.config().preprocess, options.exif_orientation);
  WarnOfOriented(OrientedIn(picture));
  const Discovery found =
      DiscoverConcepts(store, model, picture, options.image, options.discovery, WorkOf(common));
  const Json json = DiscoveryJson(found);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(DiscoveryTable(found));
}

void AddDiscover(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<DiscoverArguments>(
      app, common, "discover", "Concepts in a picture, by the neurons that are active in it",
      "cliplens neurons discover nstore --image cat.png --texts world/texts/phrases.txt");
  AddStoreArgument(verb, options->store, "Store of neurons, whose means and thresholds are used");
  verb->add_option("--image", options->image, "The picture")->required();
  AddExifOption(verb, options->exif_orientation);
  AddWordOptions(verb, options->discovery.words, options->scale);
  verb->add_option("--layers", options->discovery.layers,
                   "Layers: 8-10, 9, last-3 (default: all of STORE)");
  AddNumber(verb, "--concepts", options->discovery.concepts, 1, 10'000,
            "Concepts to list on each side");
  AddNumber(verb, "--neurons", options->discovery.neurons, 1, 100'000, "Active neurons to list");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
}

struct CueArguments {
  std::string store;
  ModelChoice model;
  NeuronCueChoice cue;
  std::string scale = "unit";
  ImagesChoice images;
  OnError on_error = OnError::kStop;
  std::string out;
};

void Run(CueArguments& options, const Common& common) {
  OutputFiles files({options.out});
  const NeuronStore store = NeuronStore::Open(options.store);
  const LoadedModel loaded = LoadModelOf(store.info(), options.store, options.model);
  const ClipModel& model = *loaded;
  options.cue.words.scale = ScaleNamed(options.scale);
  const NeuronCue cue = FindCue(store, model, options.cue, WorkOf(common));
  std::optional<CueScores> scored;
  if (!options.images.images.empty()) {
    scored = ScoreCue(model, cue, options.images, options.on_error, WorkOf(common));
    WarnOfLosses(scored->left_out, scored->oriented, scored->skipped, scored->incomplete,
                 scored->pictures + std::ssize(scored->skipped));
  }
  const Json json = NeuronCueJson(cue, scored);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(NeuronCueTable(cue, scored));
}

void AddCue(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<CueArguments>(
      app, common, "cue", "Words that push the answer from one class towards another",
      "cliplens neurons cue nstore 'a duck' 'a crab' --texts world/texts/phrases.txt --score "
      "generated/");
  AddStoreArgument(verb, options->store, "Store of neurons");
  verb->add_option("TOWARDS", options->cue.towards, "Text of the class that is to be answered")
      ->required();
  verb->add_option("FROM", options->cue.from, "Text of the class that is in the picture")
      ->required();
  AddTextsOption(verb, options->cue.words.texts);
  AddNumber(verb, "--count", options->cue.count, 1, 10'000, "Words to list");
  AddNumber(verb, "--neurons", options->cue.neurons, 1, 1'000'000,
            "Neurons whose directions tell the classes apart most");
  AddNumber(verb, "--words", options->cue.words.count, 1, 4096, "Texts for a neuron");
  AddNumber(
      verb, "--similar", options->cue.similar, -1.0, 2.0,
      "Words whose cosine with TOWARDS, about the pool's mean, is at least this are left out");
  verb->add_option("--layers", options->cue.layers,
                   "Layers: 8-10, 9, last-3 (default: all of STORE)");
  AddScaleOption(verb, options->scale);
  verb->add_option("--score", options->images.images,
                   "Pictures to hold against both classes: how many are answered with TOWARDS");
  AddOnError(verb, options->on_error);
  verb->add_flag("--truncate", options->cue.words.truncate, "Cut texts longer than the context");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
}

struct NeuronWeightsArguments {
  ModelChoice model;
  NeuronWeightsChoice weights;
  std::string tower = "image";
  std::string scale = "unit";
  std::string out;
  std::string csv;
  std::string png;
};

void Run(NeuronWeightsArguments& options, const Common& common) {
  OutputFiles files({options.out, options.csv, options.png});
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  options.weights.scale = ScaleNamed(options.scale);
  options.weights.text = options.tower == "text";
  const NeuronWeightsReport report = DescribeNeuronWeights(model, options.weights, WorkOf(common));
  const Json json = NeuronWeightsJson(report);
  files.Write(options.out, DumpJson(json) + "\n");
  files.Write(options.csv, NeuronWeightsCsv(report));
  if (!options.png.empty()) files.Write(options.png, EncodePng(NeuronFeedSheet(report)));
  files.Commit();
  if (common.json) return PrintJson(json);
  Print(NeuronWeightsTable(report));
}

void AddNeuronWeights(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<NeuronWeightsArguments>(
      app, common, "weights", "What neurons write through later heads, from weights alone",
      "cliplens neurons weights pictureworld --texts world/texts/phrases.txt --layers last-2");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  AddTextsOption(verb, options->weights.texts);
  verb->add_option("--tower", options->tower,
                   "Whose neurons: the image tower's or the text tower's")
      ->check(CLI::IsMember({"image", "text"}))
      ->capture_default_str();
  verb->add_option("--layers", options->weights.layers, "Layers: 8-10, 9, last-3 or all")
      ->capture_default_str();
  AddNumber(verb, "--pairs", options->weights.pairs, 1, 1'000'000,
            "Pairs of a neuron and a head to describe in each layer, the strongest");
  AddNumber(verb, "--count", options->weights.count, 1, 4096, "Texts for a pair");
  AddNumber(verb, "--feeders", options->weights.feeders, 1, 1'000'000,
            "Neurons to name for each head, those that feed it most");
  AddScaleOption(verb, options->scale);
  verb->add_flag("--truncate", options->weights.truncate, "Cut texts longer than the context");
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every word of every pair");
  verb->add_option("--png", options->png, "PNG to write: which later heads each layer feeds");
}

}  // namespace

void AddNeurons(CLI::App& app, Common& common) {
  CLI::App* verb =
      app.add_subcommand("neurons", "What single neurons do through the attention of later layers");
  verb->require_subcommand(1);
  AddAblateNeurons(*verb, common);
  AddCollect(*verb, common);
  AddCue(*verb, common);
  AddDiscover(*verb, common);
  AddReconstructNeurons(*verb, common);
  AddShowNeurons(*verb, common);
  AddNeuronWeights(*verb, common);
  AddWords(*verb, common);
}

}  // namespace cliplens::cli
