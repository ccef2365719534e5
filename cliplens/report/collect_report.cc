#include <string>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/model/pool_level.h"
#include "cliplens/report/html_report.h"

namespace cliplens {
namespace {

void Check(const Store& store, const ModelConfig& model, const TextPool& pool,
           ArrayView<const float, 2> texts, const std::vector<HeadId>& heads) {
  const Basis& basis = store.basis();
  if (texts.dim(0) != static_cast<Index>(pool.texts.size())) {
    throw Error(ErrorCode::kInvalidArgument, "report: {} text embeddings for the {} texts of {}",
                texts.dim(0), pool.texts.size(), pool.name);
  }
  const Components terms = TermsOf(model, store.info().level);
  if (terms != basis.components() || model.embed_width != basis.embed_width()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "report: the store was made with {} x {} heads and an embedding of {}, the model has "
        "{} x {} and {}; give the model that {} was made with",
        basis.layers(), basis.num_heads(), basis.embed_width(), terms.layers(),
        terms.heads_a_layer(), model.embed_width, store.directory().string());
  }
  for (const HeadId id : heads) {
    if (!terms.Has(id)) {
      throw Error(ErrorCode::kInvalidArgument, "report: head {} is not in a store of {} x {} heads",
                  HeadName(id), basis.layers(), basis.num_heads());
    }
  }
}

// The pictures that the page shows.
std::vector<Index> PicturesOf(const ReportInput& input) {
  std::vector<Index> wanted;
  const auto add = [&](const std::vector<ScoredItem>& items) {
    for (const ScoredItem& scored : items) wanted.push_back(scored.item);
  };
  for (const ReportHead& head : input.heads) {
    for (const Extremes& extremes : head.extremes) {
      add(extremes.highest);
      add(extremes.lowest);
    }
  }
  if (input.items.empty()) return wanted;
  for (const HeadLabel& label :
       input.extras.labels ? input.extras.labels->labels : std::vector<HeadLabel>()) {
    for (const LabelEvidence& picture : label.pictures) wanted.push_back(picture.index);
  }
  if (input.extras.comparison && input.extras.comparison->answers) {
    const ComparisonReport& comparison = *input.extras.comparison;
    for (Index f = 0; f < comparison.flips; ++f) {
      wanted.push_back(
          At(comparison.answers->common.a, At(comparison.answers->change.flips, f).picture));
    }
  }
  for (const ReportNeighbours& one : input.neighbours) {
    wanted.push_back(one.query);
    add(one.under_heads);
    add(one.whole);
  }
  return wanted;
}

}  // namespace

ReportInput CollectReport(const Store& store, const ModelConfig& model, const ReportPlan& plan,
                          ReportExtras extras) {
  Check(store, model, plan.pool, plan.texts, plan.heads);
  const ReportOptions& options = plan.options;
  ReportInput input;
  input.store = store.info();
  input.model = model;
  input.pool = plan.pool;
  input.shares = ComponentShares(store.statistics(), store.basis());
  input.heads = DescribeHeads(store, plan.texts, plan.heads, options);
  input.extras = std::move(extras);
  if (!store.info().stats_only && options.pictures > 0) {
    input.items = store.ReadItems();
    if (input.extras.labels) {
      input.neighbours = FindNeighbours(store, *input.extras.labels, options);
    }
  }
  input.thumbnails = MakeThumbnails(plan.images, input.items, PicturesOf(input), model.preprocess,
                                    options.threads, options.progress);
  return input;
}

}  // namespace cliplens
