#include "cliplens/app/labels.h"

#include <algorithm>
#include <utility>

#include "cliplens/analysis/text_span.h"
#include "cliplens/app/calibration.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"

namespace cliplens {
namespace {

constexpr Index kTextsOfScores = 5;  // of TextSpan, with which a label is compared

void CheckAreProperties(const std::vector<Factor>& factors, const LabelReport& labels) {
  for (const Factor& factor : factors) {
    if (std::ranges::find(labels.table.names, factor.name) != labels.table.names.end()) continue;
    throw Error(ErrorCode::kInvalidArgument,
                "factor {}: {} has no such property; a label is right when its property has the "
                "name of the attribute that holds the truth",
                factor.name, labels.properties_name);
  }
}

}  // namespace

std::vector<const HeadLabel*> HeadsOfProperty(const LabelReport& report, std::size_t property) {
  std::vector<const HeadLabel*> heads;
  for (const HeadLabel& head : report.labels) {
    const PropertyShare& p = head.properties[property];
    if (p.share.value > std::max(p.chance, 0.0)) heads.push_back(&head);
  }
  std::ranges::stable_sort(heads, [&](const HeadLabel* a, const HeadLabel* b) {
    return a->properties[property].share.value > b->properties[property].share.value;
  });
  return heads;
}

Array<float, 2> RowsOfProperty(const LabelReport& report, std::size_t property) {
  const std::vector<Index>& texts = report.table.texts[property];
  Array<float, 2> rows({std::ssize(texts), report.texts.dim(1)});
  for (Index t = 0; t < rows.dim(0); ++t) {
    std::ranges::copy(report.texts.row(At(texts, t)), rows.row(t).begin());
  }
  return rows;
}

std::map<HeadId, std::string> NamesOfHeads(const LabelReport& report) {
  std::map<HeadId, std::string> names;
  for (const HeadLabel& head : report.labels) {
    if (head.label >= 0) names[head.id] = At(report.table.names, head.label);
  }
  return names;
}

namespace {

std::map<Index, std::string> PathsOfEvidence(const Store& store,
                                             const std::vector<HeadLabel>& labels) {
  std::map<Index, std::string> paths;
  for (const HeadLabel& head : labels) {
    for (const LabelEvidence& picture : head.pictures) paths.try_emplace(picture.index);
  }
  std::vector<Index> numbers;
  for (const auto& [number, path] : paths) numbers.push_back(number);
  const std::vector<Item> items = store.ReadItems(numbers);
  for (std::size_t i = 0; i < items.size(); ++i) paths[numbers[i]] = items[i].path;
  return paths;
}

}  // namespace

LabelReport MakeLabels(const Store& store, const RowModel& model, LabelInput input,
                       const Work& work) {
  LabelReport report;
  report.store = store.info();
  report.pool = std::move(input.properties);
  report.properties_name = report.pool.name;
  report.table = PropertiesOf(report.pool);
  const auto embed = [&](const TextPool& pool) {
    return CachedTexts(model, pool.texts,
                       {.truncate = input.truncate,
                        .threads = work.threads,
                        .progress = work.Stage("texts"),
                        .directory = input.text_cache});
  };
  report.texts = embed(report.pool);
  input.options.threads = work.threads;
  input.options.progress = work.Stage("heads");
  report.labels = LabelHeads(store, input.heads, report.table, report.texts, input.options);
  report.paths = PathsOfEvidence(store, report.labels);
  const Index step = StrideFor(store.info().images, input.options.most_images);
  report.uncalibrated = WhyUncalibrated(store.info(), store.basis(),
                                        (store.info().images + step - 1) / step, report.pool);
  const TextPool& pool = input.texts ? *input.texts : report.pool;
  report.scores_pool = pool.name;
  const Array<float, 2> pool_rows = input.texts ? embed(pool) : Array<float, 2>();
  std::vector<TextSpanResult> spans(input.heads.size());
  if (store.info().images >= 2) {
    spans = TextSpanOfHeads(store.statistics(), store.basis(), input.heads,
                            input.texts ? pool_rows : report.texts, {.count = kTextsOfScores},
                            work.threads);
  }
  report.scores = ScoreLabels(report.labels, report.table, spans, pool);
  return report;
}

LabelReport MakeLabels(const Store& store, const RowModel& model, const LabellingOptions& options,
                       const Work& work) {
  LabelInput input{
      .heads = HeadsIn(store).Parse(options.heads),
      .properties = ReadTextPool(TextsPath(options.properties, "properties"), work.on_blank),
      .options = options.label,
      .truncate = options.truncate};
  if (!options.texts.empty()) input.texts = ReadTextPool(TextsPath(options.texts), work.on_blank);
  return MakeLabels(store, model, std::move(input), work);
}

LabelTruthReport LabelsAgainstTruth(const Store& store, const LazyModel& model,
                                    const LabellingOptions& options, const TruthChoice& choice,
                                    const Work& work) {
  const std::vector<Item> items = store.ReadItems();
  const std::vector<Index> pictures = PicturesWith(items, choice.only, store.directory().string());
  LabelTruthReport report;
  report.factors = KnownFactors(items, choice.factors, pictures);
  report.labels = MakeLabels(store, model.LoadedRows(), options, work);
  CheckAreProperties(report.factors, report.labels);
  std::vector<HeadId> heads;
  for (const HeadLabel& label : report.labels.labels) heads.push_back(label.id);
  report.truth = TruthOfHeads(store, heads, report.factors, pictures, work.threads);
  report.evaluation =
      EvaluateLabels(report.labels.labels, report.labels.table, report.factors, report.truth);
  report.images = std::ssize(pictures);
  return report;
}

}  // namespace cliplens
