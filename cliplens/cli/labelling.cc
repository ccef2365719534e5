#include "cliplens/cli/labelling.h"

#include <filesystem>

#include "cliplens/dataset/text_pool.h"

namespace cliplens::cli {
namespace {

namespace fs = std::filesystem;

// Whether the confidence was calibrated for the model: it is one that ships with the program,
// wherever it lies.
bool IsCalibrated(const Store& store) {
  const std::string& name = store.info().model_name;  // as a file says it
  if (name.find('/') != std::string::npos) return false;
  const fs::path config = SharePath("models/" + name + "/open_clip_config.json");
  return !config.empty() &&
         ClipModel::Load(config.parent_path()).fingerprint() == store.info().fingerprint;
}

}  // namespace

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
  LabelReport report;
  report.store = store.info();
  report.pool = ReadTextPool(options.properties.empty() ? SharePath("texts/properties.txt")
                                                        : TextsPath(options.properties));
  report.properties_name = report.scores_pool = report.pool.name;
  report.table = PropertiesOf(report.pool);
  std::optional<TextPool> pool;
  if (!options.texts.empty()) {
    pool = ReadTextPool(TextsPath(options.texts));
    report.scores_pool = pool->name;
  }
  report.calibrated = IsCalibrated(store);
  const Array<float, 2> texts = model.EmbedTexts(report.pool.texts, options.truncate,
                                                 common.threads, Progress(common, "texts"));
  LabelOptions label = options.label;
  label.threads = common.threads;
  label.progress = Progress(common, "heads");
  report.labels = LabelHeads(store, heads, report.table, texts, label);
  const Array<float, 2> pool_texts =
      pool ? model.EmbedTexts(pool->texts, options.truncate, common.threads,
                              Progress(common, "texts"))
           : Array<float, 2>();
  const std::vector<TextSpanResult> spans =
      store.info().images < 2
          ? std::vector<TextSpanResult>(heads.size())
          : TextSpanOfHeads(store.statistics(), store.basis(), heads, pool ? pool_texts : texts,
                            {.count = 5}, common.threads);
  report.scores = ScoreLabels(report.labels, report.table, spans, pool ? *pool : report.pool);
  return report;
}

}  // namespace cliplens::cli
