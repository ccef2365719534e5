#include "cliplens/report/collect_labels.h"

#include <utility>

#include "cliplens/analysis/text_span.h"
#include "cliplens/model/text_cache.h"

namespace cliplens {

LabelReport CollectLabels(const Store& store, const ClipModel& model, LabelInput input) {
  const int threads = input.options.threads;
  LabelReport report;
  report.store = store.info();
  report.pool = std::move(input.properties);
  report.properties_name = report.scores_pool = report.pool.name;
  report.table = PropertiesOf(report.pool);
  report.calibrated = input.calibrated;
  const TextPool& pool = input.texts ? *input.texts : report.pool;
  report.scores_pool = pool.name;
  const auto embed = [&](const TextPool& texts) {
    return CachedTexts([&]() -> const ClipModel& { return model; }, model.fingerprint(),
                       model.precision(), texts.texts,
                       {.truncate = input.truncate,
                        .threads = threads,
                        .progress = input.text_progress,
                        .directory = input.text_cache});
  };
  report.texts = embed(report.pool);
  const Array<float, 2>& texts = report.texts;
  report.labels = LabelHeads(store, input.heads, report.table, texts, input.options);
  const Array<float, 2> pool_texts = input.texts ? embed(pool) : Array<float, 2>();
  const std::vector<TextSpanResult> spans =
      store.info().images < 2
          ? std::vector<TextSpanResult>(input.heads.size())
          : TextSpanOfHeads(store.statistics(), store.basis(), input.heads,
                            input.texts ? pool_texts : texts, {.count = 5}, threads);
  report.scores = ScoreLabels(report.labels, report.table, spans, pool);
  return report;
}

}  // namespace cliplens
