#include "cliplens/app/report_content.h"

#include <algorithm>
#include <utility>

#include "cliplens/analysis/search.h"
#include "cliplens/app/label_file.h"
#include "cliplens/app/pictures.h"
#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// The pictures of one head along its first texts, by ⟨c, t⟩ = u · (B t).
std::vector<Extremes> ExtremesOfHead(const Store& store, ArrayView<const float, 2> ln, HeadId id,
                                     ArrayView<const float, 2> texts, const TextSpanResult& span,
                                     const ReportOptions& options) {
  const auto basis = AsEigen(store.basis().at(id));
  std::vector<Vector> weights;
  const Index count = std::clamp<Index>(options.pictured_texts, 0, std::ssize(span.texts));
  for (Index t = 0; t < count; ++t) {
    const Index index = At(span.texts, t).index;
    const auto text = AsEigen(texts.rows(index, index + 1));
    weights.push_back(basis.cast<double>() * text.transpose().cast<double>());
  }
  if (weights.empty()) return {};
  const Matrix factors = FactorsOf(store.basis().layout(), store.ReadHead(id), ln);
  return ExtremesOf(factors, weights, options.pictures);
}

}  // namespace

std::vector<ReportHead> DescribeHeads(const Store& store, ArrayView<const float, 2> texts,
                                      const std::vector<HeadId>& heads,
                                      const ReportOptions& options) {
  std::vector<TextSpanResult> spans = TextSpanOfHeads(store.statistics(), store.basis(), heads,
                                                      texts, options.span, options.threads);
  const bool pictures = !store.info().stats_only && options.pictures > 0;
  const Array<float, 2> ln = pictures ? store.ReadLn() : Array<float, 2>();
  std::vector<ReportHead> described;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    ReportHead head{heads[h], std::move(spans[h]), {}};
    if (pictures) head.extremes = ExtremesOfHead(store, ln, heads[h], texts, head.span, options);
    described.push_back(std::move(head));
  }
  return described;
}

std::vector<ReportNeighbours> FindNeighbours(const Store& store, const LabelReport& labels,
                                             const ReportOptions& options) {
  constexpr std::size_t kQueries = 2;
  std::vector<ReportNeighbours> all;
  const SearchVectors whole(store, SearchSpace{});
  for (std::size_t p = 0; p < labels.table.names.size(); ++p) {
    const auto property = static_cast<Index>(p);
    std::vector<HeadShare> shares;
    const HeadLabel* largest = nullptr;
    for (const HeadLabel* head : HeadsOfProperty(labels, p)) {
      shares.push_back({head->id, head->properties[p].share.value});
      if (largest == nullptr && head->label == property) largest = head;
    }
    if (largest == nullptr) continue;
    const SearchSpace space = SpaceOfHeads(shares, RowsOfProperty(labels, p));
    const SearchVectors heads(store, space);
    for (std::size_t q = 0; q < std::min(kQueries, largest->pictures.size()); ++q) {
      ReportNeighbours one;
      one.property = property;
      one.heads = std::ssize(space.heads);
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

ReportExtras OpenExtras(const Store& store, const ClipModel& model, const ExtrasChoice& choice,
                        const Work& work) {
  ReportExtras extras;
  if (!choice.properties.empty()) {
    extras.labels = MakeLabels(store, model,
                               LabellingOptions{.properties = choice.properties,
                                                .heads = choice.heads,
                                                .truncate = choice.classes.truncate},
                               work);
  }
  if (!choice.classes.classes.empty()) {
    AccuracyInput input = OpenAccuracy(store, model, choice.classes, work);
    AblationOptions options;
    options.threads = work.threads;
    options.progress = work.Stage("ablation");
    extras.ablation = ReportAblation{
        std::move(input.setting),
        Ablate(store, store.statistics(), input.classifier.rows, input.labels.classes, options)};
  }
  if (!choice.attribute.empty()) {
    if (choice.classes.classes.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--attribute makes groups of classes: name --classes");
    }
    extras.groups = MakeGroups(store, model,
                               {.classes = choice.classes,
                                .attribute = choice.attribute,
                                .edit = choice.edit,
                                .lean = !choice.edit.empty()},
                               work);
  } else if (!choice.edit.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--edit is shown by groups: name the attribute that makes them with --attribute");
  }
  if (!choice.image.empty()) {
    extras.scores =
        MakeScores(model, ReadPicture(choice.image, model.config().preprocess, TurnsUpright(store)),
                   choice.image, choice.texts, choice.classes.truncate, work.threads);
    if (extras.labels) extras.scores->explanation.labels = NamesOfHeads(*extras.labels);
  }
  if (!choice.beside.empty()) {
    extras.comparison = CompareStores(store, Store::Open(choice.beside),
                                      {.model = choice.model,
                                       .other_model = choice.beside_model,
                                       .classes = choice.classes,
                                       .properties = choice.properties,
                                       .labelled = extras.labels ? &*extras.labels : nullptr,
                                       .image = choice.image,
                                       .texts = choice.texts},
                                      work);
  }
  if (!choice.neurons.store.empty())
    extras.neurons = OpenReportNeurons(model, choice.neurons, work);
  return extras;
}

}  // namespace cliplens
