#include "cliplens/app/accuracy.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/analysis/random_texts.h"
#include "cliplens/app/shipped.h"
#include "cliplens/dataset/text_pool.h"

namespace cliplens {

AccuracyInput OpenAccuracy(const Store& store, const RowModel& model, const ClassChoice& choice,
                           const Work& work) {
  return OpenAccuracy(store.info(), store.ReadItems(), store.directory().string(), model, choice,
                      work);
}

AccuracyInput OpenAccuracy(const StoreInfo& info, const std::vector<Item>& items,
                           const std::string& place, const RowModel& model,
                           const ClassChoice& choice, const Work& work) {
  const ClassTexts classes = ReadClasses(choice, work.on_blank);
  AccuracyInput input;
  input.labels = MatchLabels(items, classes.file, choice.label, place);
  input.classifier = EmbedClasses(model, classes, work);
  input.setting.store = info;
  input.setting.classes_name = classes.file.name;
  input.setting.classes = std::ssize(classes.file.names);
  input.setting.templates = std::ssize(classes.templates);
  input.setting.foreign = input.labels.foreign;
  input.classes = classes.file;
  return input;
}

ReconstructionReport ReconstructPools(const Store& store, const LazyModel& model,
                                      const ReconstructionChoice& choice, const Work& work) {
  std::vector<TextPool> pools;
  for (const std::string& path : choice.texts) {
    pools.push_back(ReadTextPool(TextsPath(path), work.on_blank));
  }
  const RowModel rows = model.LoadedRows();
  const AccuracyInput input = OpenAccuracy(store, rows, choice.classes, work);
  ReconstructionOptions options = choice.options;
  options.threads = work.threads;
  options.progress = work.Stage("pictures");
  options.layers = std::min(options.layers, store.basis().layers());
  ReconstructionReport report{.setting = input.setting, .layers = options.layers, .pools = {}};
  const auto add = [&](const std::string& name, Index blank, const Array<float, 2>& texts) {
    report.pools.push_back(
        {name, texts.dim(0),
         Reconstruct(store, texts, input.classifier.rows, input.labels.classes, options), blank});
  };
  for (const TextPool& pool : pools) {
    const bool first = report.pools.empty();
    const Array<float, 2> texts = RowsOfPool(rows, pool, choice.classes.truncate, work);
    add(pool.name, pool.blank, texts);
    for (Index seed = 1; first && seed <= choice.random; ++seed) {
      add(fmt::format("random-{}", seed), 0,
          RandomTexts(texts, texts.dim(0), static_cast<std::uint64_t>(seed)));
    }
  }
  return report;
}

}  // namespace cliplens
