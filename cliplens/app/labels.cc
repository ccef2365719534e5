#include "cliplens/app/labels.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cliplens/analysis/text_span.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"

namespace cliplens {
namespace {

// What the confidence was fitted on (bench/truth/calibrate.py): 300 and 1,500 pictures, and this
// table, also with one property left out.
constexpr Index kFewestCalibrated = 300;
constexpr const char* kCalibratedTable = "world/texts/properties.txt";
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

// Every text of a table behind its property.
std::set<std::pair<std::string, std::string>> ValuesOf(const TextPool& pool) {
  std::set<std::pair<std::string, std::string>> values;
  for (std::size_t i = 0; i < pool.texts.size(); ++i) {
    values.emplace(pool.properties[i].value_or(""), pool.texts[i]);
  }
  return values;
}

// Whether it is the table that the confidence was fitted on, with at most one property left out.
bool IsCalibratedTable(const TextPool& table) {
  const std::filesystem::path path = SharePath(kCalibratedTable);
  if (path.empty()) return false;
  const auto mine = ValuesOf(table), known = ValuesOf(ReadTextPool(path));
  if (!std::ranges::includes(known, mine)) return false;
  std::set<std::string> left_out;
  for (const auto& value : known) {
    if (!mine.contains(value)) left_out.insert(value.first);
  }
  return left_out.size() <= 1 && std::ranges::none_of(mine, [&](const auto& value) {
           return left_out.contains(value.first);
         });
}

// What of a run lies outside of what the confidence was fitted on (bench/truth/calibrate.py).
std::vector<std::string> WhyUncalibrated(const LabelReport& report, const LabelInput& input) {
  std::vector<std::string> why;
  if (!input.fitted) why.emplace_back("it was not fitted on this model");
  const Index images = report.store.images;
  const Index step = StrideFor(images, input.options.most_images);
  const Index used = (images + step - 1) / step;
  if (used < kFewestCalibrated) {
    why.push_back(
        fmt::format("{} picture{} of at least {}", used, used == 1 ? "" : "s", kFewestCalibrated));
  }
  if (!IsCalibratedTable(report.pool)) why.emplace_back("it was not fitted on this property table");
  return why;
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

bool WasFittedOn(const Store& store) {
  const std::string& name = store.info().model_name;  // as a file says it
  if (name.find('/') != std::string::npos) return false;
  const std::filesystem::path config = SharePath("models/" + name + "/open_clip_config.json");
  return !config.empty() &&
         ClipModel::Load(config.parent_path()).fingerprint() == store.info().fingerprint;
}

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
  report.uncalibrated = WhyUncalibrated(report, input);
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
  input.fitted = WasFittedOn(store);
  return MakeLabels(store, model, std::move(input), work);
}

LabelTruthReport LabelsAgainstTruth(const Store& store, const LazyModel& model,
                                    const LabellingOptions& options, const TruthChoice& choice,
                                    const Work& work) {
  const std::vector<Item> items = store.ReadItems();
  const std::vector<Index> pictures = PicturesWith(items, choice.only, store.directory().string());
  LabelTruthReport report;
  report.factors = KnownFactors(items, choice.factors, pictures);
  report.labels = MakeLabels(store, model.Get(), options, work);
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
