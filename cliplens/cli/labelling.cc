#include "cliplens/cli/labelling.h"

#include <filesystem>
#include <utility>

#include "cliplens/dataset/text_pool.h"
#include "cliplens/model/text_cache.h"
#include "cliplens/report/collect_labels.h"

namespace cliplens::cli {

namespace fs = std::filesystem;

bool IsCalibrated(const Store& store) {
  const std::string& name = store.info().model_name;  // as a file says it
  if (name.find('/') != std::string::npos) return false;
  const fs::path config = SharePath("models/" + name + "/open_clip_config.json");
  return !config.empty() &&
         ClipModel::Load(config.parent_path()).fingerprint() == store.info().fingerprint;
}

void AddLabellingOptions(CLI::App* verb, LabellingOptions& options) {
  verb->add_option("STORE", options.store, "Store directory with factors of pictures")->required();
  verb->add_option("--properties", options.properties,
                   "Property table: one text a line, a tab, its property (default: the shipped "
                   "table for photographs)");
  verb->add_option(
      "--texts", options.texts,
      "Pool with properties for the scores, or the shipped general (default: the property "
      "table)");
  verb->add_option("--heads", options.heads, "L11.H3, L9-L11, last-4, all; commas between")
      ->capture_default_str();
  verb->add_option("--most-images", options.label.most_images,
                   "Of more pictures every n-th is used")
      ->check(CLI::Range(Index{1}, Index{1} << 40))
      ->capture_default_str();
  verb->add_option("--seed", options.label.seed, "Of random texts and halves")
      ->capture_default_str();
  AddModelOption(verb, options.model);
  verb->add_flag("--truncate", options.truncate, "Cut texts longer than the context");
}

LabelReport MakeLabels(const Store& store, const ClipModel& model, const LabellingOptions& options,
                       const Common& common) {
  const std::vector<HeadId> heads =
      ParseHeads(options.heads, static_cast<int>(store.basis().layers()),
                 static_cast<int>(store.basis().num_heads()));
  LabelInput input{.heads = heads,
                   .properties = ReadTextPool(TextsPath(options.properties, "properties")),
                   .options = options.label,
                   .text_progress = Progress(common, "texts"),
                   .truncate = options.truncate,
                   .text_cache = CacheDirectory()};
  if (!options.texts.empty()) input.texts = ReadTextPool(TextsPath(options.texts));
  input.options.threads = common.threads;
  input.options.progress = Progress(common, "heads");
  input.calibrated = IsCalibrated(store);
  return CollectLabels(store, model, std::move(input));
}

}  // namespace cliplens::cli
