#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cliplens/analysis/search.h"
#include "cliplens/base/error.h"
#include "cliplens/report/html_report.h"
#include "cliplens/report/label_file.h"

namespace cliplens {
namespace {

void Check(const Store& store, const ModelConfig& model, const TextPool& pool,
           ArrayView<const float, 2> texts, const std::vector<HeadId>& heads) {
  const Basis& basis = store.basis();
  if (texts.dim(0) != static_cast<Index>(pool.texts.size())) {
    throw Error(ErrorCode::kInvalidArgument, "report: {} text embeddings for the {} texts of {}",
                texts.dim(0), pool.texts.size(), pool.name);
  }
  if (model.vision.layers != basis.layers() || model.vision.heads != basis.num_heads() ||
      model.embed_width != basis.embed_width()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "report: the store was made with {} x {} heads and an embedding of {}, the model has "
        "{} x {} and {}; give the model that {} was made with",
        basis.layers(), basis.num_heads(), basis.embed_width(), model.vision.layers,
        model.vision.heads, model.embed_width, store.directory().string());
  }
  for (const HeadId id : heads) {
    if (id.layer < 0 || id.layer >= basis.layers() || id.head < 0 || id.head >= basis.num_heads()) {
      throw Error(ErrorCode::kInvalidArgument, "report: head {} is not in a store of {} x {} heads",
                  HeadName(id), basis.layers(), basis.num_heads());
    }
  }
}

// The pictures of one head along its first texts: by ⟨c, t⟩ = u · (B t) with the text t as it is,
// since a person reads the text beside them and not what TextSpan left of it.
std::vector<Extremes> ExtremesOfHead(const Store& store, ArrayView<const float, 2> ln, HeadId id,
                                     ArrayView<const float, 2> texts, const TextSpanResult& span,
                                     const ReportOptions& options) {
  const auto basis = AsEigen(store.basis().at(id));
  std::vector<Vector> weights;
  const auto count =
      std::min(ToSize(std::max<Index>(0, options.pictured_texts)), span.texts.size());
  for (std::size_t t = 0; t < count; ++t) {
    const auto text = AsEigen(texts.rows(span.texts[t].index, span.texts[t].index + 1));
    weights.push_back(basis.cast<double>() * text.transpose().cast<double>());
  }
  if (weights.empty()) return {};
  const Matrix factors = FactorsOf(store.basis().layout(), store.ReadHead(id), ln);
  return ExtremesOf(factors, weights, options.pictures);
}

// For each property that labels heads: the neighbours of the two pictures that speak most for the
// head of the largest share.
std::vector<ReportNeighbours> CollectNeighbours(const Store& store, const LabelReport& labels,
                                                const ReportOptions& options) {
  constexpr std::size_t kQueries = 2;
  std::vector<ReportNeighbours> all;
  const SearchVectors whole(store, SearchSpace{});
  for (std::size_t p = 0; p < labels.table.names.size(); ++p) {
    const auto property = static_cast<Index>(p);
    std::vector<HeadShare> shares;
    const HeadLabel* largest = nullptr;
    for (const HeadLabel* head : HeadsOf(labels, p)) {
      shares.push_back({head->id, head->properties[p].share.value});
      if (largest == nullptr && head->label == property) largest = head;
    }
    if (largest == nullptr) continue;
    const SearchSpace space = SpaceOfHeads(shares, TextsOf(labels, p));
    const SearchVectors heads(store, space);
    for (std::size_t q = 0; q < std::min(kQueries, largest->pictures.size()); ++q) {
      ReportNeighbours one;
      one.property = property;
      one.heads = static_cast<Index>(space.heads.size());
      one.query = largest->pictures[q].index;
      const auto find = [&](const SearchVectors& vectors) {
        const SearchTerm term{&vectors, vectors.OfItem(one.query)};
        return Search(
            store, {&term, 1},
            {.count = options.pictures, .exclude = {one.query}, .threads = options.threads});
      };
      one.under_heads = find(heads);
      one.whole = find(whole);
      all.push_back(std::move(one));
    }
  }
  return all;
}

}  // namespace

ReportInput CollectReport(const Store& store, const ModelConfig& model, const ImageSet* images,
                          const TextPool& pool, ArrayView<const float, 2> texts,
                          const std::vector<HeadId>& heads, const ReportOptions& options,
                          ReportExtras extras) {
  Check(store, model, pool, texts, heads);
  ReportInput input;
  input.store = store.info();
  input.model = model;
  input.pool = pool;
  input.shares = ComponentShares(store.statistics(), store.basis());
  std::vector<TextSpanResult> spans = TextSpanOfHeads(store.statistics(), store.basis(), heads,
                                                      texts, options.span, options.threads);
  const bool pictures = !store.info().stats_only && options.pictures > 0;
  if (pictures) input.items = store.ReadItems();
  const Array<float, 2> ln = pictures ? store.ReadLn() : Array<float, 2>();
  std::vector<Index> wanted;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    ReportHead head{heads[h], std::move(spans[h]), {}};
    if (pictures) head.extremes = ExtremesOfHead(store, ln, heads[h], texts, head.span, options);
    for (const Extremes& extremes : head.extremes) {
      for (const ScoredItem& scored : extremes.highest) wanted.push_back(scored.item);
      for (const ScoredItem& scored : extremes.lowest) wanted.push_back(scored.item);
    }
    input.heads.push_back(std::move(head));
  }
  input.extras = std::move(extras);
  if (input.extras.labels && pictures) {
    for (const HeadLabel& label : input.extras.labels->labels) {
      for (const LabelEvidence& picture : label.pictures) wanted.push_back(picture.index);
    }
    input.neighbours = CollectNeighbours(store, *input.extras.labels, options);
    for (const ReportNeighbours& one : input.neighbours) {
      wanted.push_back(one.query);
      for (const ScoredItem& scored : one.under_heads) wanted.push_back(scored.item);
      for (const ScoredItem& scored : one.whole) wanted.push_back(scored.item);
    }
  }
  input.thumbnails = MakeThumbnails(images, input.items, std::move(wanted), model.preprocess,
                                    options.threads, options.progress);
  return input;
}

}  // namespace cliplens
