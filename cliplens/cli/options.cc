#include "cliplens/cli/options.h"

#include <algorithm>
#include <map>
#include <string>

#include "cliplens/app/pull.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/printable.h"

namespace cliplens::cli {
namespace {

constexpr char kArchitectureHelp[] =
    "Architecture of a checkpoint file without a configuration: a name of open_clip's (ViT-B-16), "
    "openai, or a JSON file like open_clip_config.json";
constexpr char kWeightsHelp[] =
    "Of a checkpoint with several models, such as weights and their moving average: the one under "
    "this name (model_ema)";

void AddTextRows(CLI::App* verb, ModelChoice& choice) {
  verb->add_option(
          "--text-rows", choice.text_rows,
          "FILE.npy of rows of the texts in FILE.txt beside it, made elsewhere, for a model "
          "whose text tower is not evaluated; may be given several times")
      ->allow_extra_args(false)
      ->take_all();
}

}  // namespace

CLI::Option* AddPullOption(CLI::App* verb, ModelChoice& choice) {
  return verb->add_flag_callback(
      "--pull",
      [verb, &choice] {
        choice.fetch = [quiet = verb->count("--quiet") > 0](const std::string& name) {
          const Common common{.quiet = quiet};
          PullModel(name, {.on_wait = PrintProblem}, WorkOf(common));
        };
      },
      "Fetch a model of the hub that is not in the cache, as 'cliplens pull' does");
}

void AddModelArgument(CLI::App* verb, ModelChoice& choice) {
  verb->add_option("MODEL", choice.model,
                   "Model directory, checkpoint file, shipped model, hf:ORG/NAME or ARCH/TAG")
      ->required();
  verb->add_option("--arch", choice.architecture, kArchitectureHelp);
  verb->add_option("--weights", choice.weights, kWeightsHelp);
  AddNumber(verb, "--image-size", choice.image_size, 0, 4096,
            "Pixels along a side of the pictures that the model reads, other than its own (0); its "
            "position embeddings are resized as open_clip does");
  verb->add_option("--resize-backend", choice.resize_backend,
                   "Whose resize pictures get, for a Hugging Face directory: Pillow's, or "
                   "torchvision's, which transformers takes since version 5")
      ->check(CLI::IsMember({"pillow", "torchvision"}))
      ->capture_default_str();
  AddTextRows(verb, choice);
  AddPullOption(verb, choice);
}

void AddModelOption(CLI::App* verb, ModelChoice& choice) {
  CLI::Option* model =
      verb->add_option("--model", choice.model, "The model, where the store's own has moved");
  verb->add_option("--arch", choice.architecture, kArchitectureHelp)->needs(model);
  verb->add_option("--weights", choice.weights, kWeightsHelp)->needs(model);
  AddTextRows(verb, choice);
  AddPullOption(verb, choice);
}

void AddLevelOption(CLI::App* verb, ModelChoice& choice) {
  verb->add_option_function<std::string>(
          "--level", [&choice](const std::string& level) { choice.level = ParseLevel(level); },
          "Whose heads the embedding is the sum of: those of all blocks, or of the attention pool "
          "behind them (SigLIP, PE-Core, CoCa), named POOL.H0 and on")
      ->check(CLI::IsMember({"blocks", "pool"}))
      ->default_str("blocks");
}

void AddPrecisionOption(CLI::App* verb, ModelChoice& choice) {
  verb->add_option("--precision", choice.precision,
                   "Products in fp32 or bf16; auto: bf16 where the processor has it")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}))
      ->capture_default_str();
}

CLI::App* AddOneOf(CLI::App* verb, const std::string& name, bool required) {
  return verb->add_option_group(name)->require_option(required ? 1 : 0, 1);
}

void AddStoreArgument(CLI::App* verb, std::string& store, const char* help) {
  verb->add_option("STORE", store, help)->required();
}

void AddTextsOption(CLI::App* verb, std::string& texts) {
  verb->add_option("--texts", texts,
                   "Text pool, one text a line, or a shipped one: general, common_words, "
                   "properties")
      ->required(texts.empty())
      ->capture_default_str();
}

CLI::Option* AddHeadsOption(CLI::App* verb, std::string& heads) {
  return verb
      ->add_option("--heads", heads,
                   "L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between")
      ->capture_default_str();
}

void AddLabelsOption(CLI::App* verb, std::string& labels) {
  verb->add_option("--labels", labels, "File that 'cliplens label STORE --out FILE' wrote");
}

void AddImagesOption(CLI::App* verb, ImagesChoice& choice, CLI::App* group) {
  CLI::Option* images = (group == nullptr ? verb : group)
                            ->add_option("--images", choice.images,
                                         "Picture, folder, table (.csv, .tsv, .jsonl, .parquet), "
                                         "WebDataset shards or published "
                                         "data set");
  if (group == nullptr) images->required();
  verb->add_option(
          "--split", choice.split,
          "Only this split of the pictures, where the set has splits: train, val, test, or "
          "a value of a table's column 'split'")
      ->needs(images);
  verb->add_option("--path-column", choice.path_column,
                   "Column of a table that holds the pictures' paths, where it has no usual name")
      ->needs(images);
  verb->add_flag("--allow-absolute", choice.allow_absolute,
                 "A table's paths may be absolute or have '..' in them: files anywhere are read")
      ->needs(images);
  AddExifOption(verb, choice.exif_orientation);
}

void AddExifOption(CLI::App* verb, bool& exif_orientation) {
  verb->add_flag(
      "--exif-orientation", exif_orientation,
      "Turn pictures upright by their EXIF orientation, which the reference leaves alone");
}

void AddOnError(CLI::App* verb, OnError& on_error) {
  verb->add_option("--on-error", on_error,
                   "Pictures that cannot be read: stop at the first, or skip and list them")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, OnError>{{"stop", OnError::kStop}, {"skip", OnError::kSkip}}))
      ->option_text("stop|skip [stop]");
}

CLI::Option* AddTemplatesOption(CLI::App* verb, ClassChoice& choice) {
  return verb
      ->add_option("--templates", choice.templates,
                   "File with one template a line ({} is the class), imagenet (80) or simple")
      ->capture_default_str();
}

void AddClassOptions(CLI::App* verb, ClassChoice& choice, bool required) {
  verb->add_option("--classes", choice.classes,
                   "File with one class a line, optionally a tab and its label")
      ->required(required);
  AddTemplatesOption(verb, choice);
  verb->add_option("--label", choice.label,
                   "Attribute that holds the label (default: the picture's own label)");
  verb->add_flag("--truncate", choice.truncate, "Cut texts longer than the context");
}

void AddHeadChoice(CLI::App* verb, HeadChoice& choice) {
  CLI::Option* heads = AddHeadsOption(verb, choice.heads);
  verb->add_option("--property", choice.property, "The heads that --labels names this property for")
      ->excludes(heads);
  AddLabelsOption(verb, choice.labels);
}

void AddSpaceChoice(CLI::App* verb, SpaceChoice& choice) {
  AddHeadChoice(verb, choice.heads);
  verb->get_option("--heads")->description(
      "L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between; embedding: "
      "the whole of it");
  verb->get_option("--property")
      ->description(
          "The heads of which --labels says that this property explains more than chance does, by "
          "their shares, in what the property's texts differ in");
  verb->add_option("--definition", choice.definition,
                   "Likeness of several heads: score-of-sum or sum-of-scores")
      ->check(CLI::IsMember({NameOf(Definition::kScoreOfSum), NameOf(Definition::kSumOfScores)}))
      ->capture_default_str();
  CLI::Option* measure =
      verb->add_option("--measure", choice.measure,
                       "cosine or dot, about the mean of the store's pictures; raw: dot product of "
                       "the contributions as they are")
          ->check(CLI::IsMember(
              {NameOf(Measure::kCosine), NameOf(Measure::kDot), NameOf(Measure::kRaw)}))
          ->capture_default_str();
  verb->add_flag("--raw", choice.raw, "The same as --measure raw")->excludes(measure);
}

bool SpaceIsChosen(const CLI::App& verb) {
  for (const char* option : {"--heads", "--property", "--definition", "--measure", "--raw"}) {
    if (verb.count(option) > 0) return true;
  }
  return false;
}

void AddEditChoice(CLI::App* verb, EditChoice& choice) {
  CLI::Option* edit = verb->add_option("--edit", choice.path, "Edit to apply (cliplens edit)");
  verb->add_flag("--no-normalize", choice.no_normalize, "Leave edited rows as they are")
      ->needs(edit);
}

void AddLabellingOptions(CLI::App* verb, LabelledStore& options) {
  AddStoreArgument(verb, options.store);
  verb->add_option("--properties", options.labelling.properties,
                   "Property table: one text a line, a tab, its property (default: the shipped "
                   "table for photographs)");
  verb->add_option(
      "--texts", options.labelling.texts,
      "Pool with properties for the scores, or the shipped general (default: the property "
      "table)");
  AddHeadsOption(verb, options.labelling.heads);
  AddNumber(verb, "--most-images", options.labelling.label.most_images, 1, Index{1} << 40,
            "Of more pictures every n-th is used");
  verb->add_option("--seed", options.labelling.label.seed, "Of random texts and halves")
      ->capture_default_str();
  AddModelOption(verb, options.model);
  verb->add_flag("--truncate", options.labelling.truncate, "Cut texts longer than the context");
}

StorePart ParseStorePart(const std::string& text) {
  constexpr Index kMostParts = 999'999;
  const std::string_view all = text;
  const std::size_t slash = std::min(all.find('/'), all.size());
  const StorePart part = {
      ParseNumber<Index>(all.substr(0, slash)).value_or(-1),
      ParseNumber<Index>(all.substr(std::min(slash + 1, all.size()))).value_or(-1)};
  if (part.index < 0 || part.parts > kMostParts || part.index >= part.parts) {
    throw Error(ErrorCode::kInvalidArgument,
                "--shard {}: part i of n is wanted as i/n, counted from 0: 0/4, 1/4, 2/4 and 3/4 "
                "are four parts",
                Printable(text));
  }
  return part;
}

}  // namespace cliplens::cli
