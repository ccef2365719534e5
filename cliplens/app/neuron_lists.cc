#include "cliplens/app/neuron_lists.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// Longest side of the pictures under the report's maps: sharp at 84 CSS pixels on a screen of
// double density.
constexpr Index kMapSide = 168;

double ShareOf(const NeuronStore& store, double variance) {
  const double total = store.embedding().variance;
  return total > 0 ? variance / total : 0;
}

// The place of `head` among those after a layer; -1 where it is not.
Index PlaceOfHead(const NeuronPaths& paths, HeadId head) {
  for (Index j = 0; j < paths.heads(); ++j) {
    if (paths.head(j) == head) return j;
  }
  return -1;
}

LayerRange ListedLayers(const NeuronStore& store, const std::string& layers) {
  if (layers.empty()) return store.layers();
  const std::vector<NeuronId> ids = NeuronsNamed(store, layers);
  return {ids.front().layer, ids.back().layer + 1};
}

CarryingHead StrongestHeadOf(const NeuronStore& store, NeuronId id) {
  const NeuronPaths& paths = store.paths(id.layer);
  CarryingHead strongest;
  for (Index j = 0; j < paths.heads(); ++j) {
    const double share = ShareOfHead(paths, store.directions(id.layer), id.neuron, j);
    if (j > 0 && std::abs(share) <= std::abs(strongest.share)) continue;
    strongest = {.id = paths.head(j), .share = share};
  }
  return strongest;
}

void CheckReported(const NeuronStore& store, const ClipModel& model) {
  RequirePictures(store, "the report");
  if (store.info().fingerprint == model.fingerprint()) return;
  throw Error(ErrorCode::kInvalidArgument,
              "{}: neurons of {} ({}), the model is {} ({}); collect those of this model",
              store.directory().string(), store.info().model_name,
              store.info().fingerprint.substr(0, 12), model.name(),
              model.fingerprint().substr(0, 12));
}

}  // namespace

std::vector<RankedNeuron> RankNeurons(const NeuronStore& store, LayerRange layers,
                                      std::optional<HeadId> head) {
  std::vector<RankedNeuron> ranked;
  for (Index l = layers.begin; l < layers.end; ++l) {
    const NeuronDirections& d = store.directions(l);
    const NeuronPaths& paths = store.paths(l);
    const Index place = head ? PlaceOfHead(paths, *head) : -1;
    if (head && place < 0) continue;
    for (Index n = 0; n < std::ssize(d.variance); ++n) {
      const double share = ShareOf(store, At(d.variance, n));
      const double through = head ? share * ShareOfHead(paths, d, n, place) : 0;
      if (head && through == 0) continue;
      ranked.push_back({{static_cast<int>(l), static_cast<int>(n)}, share, through});
    }
  }
  std::ranges::stable_sort(ranked, std::greater<>(), [&](const RankedNeuron& neuron) {
    return head ? std::abs(neuron.through) : neuron.share;
  });
  return ranked;
}

std::vector<NeuronLayer> NeuronLayersOf(const NeuronStore& store) {
  std::vector<NeuronLayer> layers;
  for (Index l = store.layers().begin; l < store.layers().end; ++l) {
    NeuronLayer layer{.layer = l, .neurons = store.paths(l).neurons()};
    for (const float variance : store.directions(l).variance) {
      layer.share += ShareOf(store, variance);
    }
    layers.push_back(layer);
  }
  return layers;
}

NeuronList ListNeurons(const NeuronStore& store, const NeuronPool& pool,
                       const NeuronListChoice& choice, const Work& work) {
  const LayerRange layers = ListedLayers(store, choice.layers);
  if (choice.head && PlaceOfHead(store.paths(layers.begin), *choice.head) < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no neurons before head {}; name a head of the layers from {} on",
                store.directory().string(), HeadName(*choice.head), layers.begin + 1);
  }
  std::vector<RankedNeuron> ranked = RankNeurons(store, layers, choice.head);
  NeuronList list{.store = store.info(),
                  .pool = pool.pool,
                  .layers = NeuronLayersOf(store),
                  .head = choice.head,
                  .total = std::ssize(ranked),
                  .from = std::min(choice.from, std::ssize(ranked)),
                  .neurons = {}};
  ranked.erase(ranked.begin(), ranked.begin() + list.from);
  ranked.resize(std::min(ranked.size(), ToSize(choice.count)));
  std::vector<NeuronId> ids;
  ids.reserve(ranked.size());
  for (const RankedNeuron& neuron : ranked) ids.push_back(neuron.id);
  NeuronWordsReport words = DescribeNeurons(store, pool, ids, {.count = choice.words}, work);
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    list.neurons.push_back({std::move(words.neurons[i]), ranked[i].share, ranked[i].through,
                            StrongestHeadOf(store, ids[i])});
  }
  return list;
}

ReportNeurons OpenReportNeurons(const ClipModel& model, const ReportNeuronsChoice& choice,
                                const Work& work) {
  const NeuronStore store = NeuronStore::Open(choice.store);
  CheckReported(store, model);
  ReportNeurons report{.store = store.info(),
                       .pool = {},
                       .layers = NeuronLayersOf(store),
                       .shown = {},
                       .feeders = {},
                       .problem = {}};
  const NeuronWordsChoice words{
      .texts = choice.texts, .count = choice.words, .truncate = choice.truncate};
  const NeuronPool pool = OpenNeuronPool(model, words, work);
  report.pool = pool.pool;
  const std::vector<Item> items = store.ReadItems();
  for (Index l = store.layers().begin; l < store.layers().end; ++l) {
    std::vector<RankedNeuron> ranked = RankNeurons(store, {l, l + 1});
    ranked.resize(std::min(ranked.size(), ToSize(choice.neurons)));
    for (const RankedNeuron& neuron : ranked) {
      report.shown.push_back(ShowNeuron(store, pool, items, neuron.id,
                                        {.neuron = NeuronName(neuron.id),
                                         .words = words,
                                         .heads = 5,
                                         .pictures = choice.pictures},
                                        work));
    }
  }
  const NeuronPaths& first = store.paths(store.layers().begin);
  for (Index j = 0; j < first.heads(); ++j) {
    std::vector<RankedNeuron> feeders = RankNeurons(store, store.layers(), first.head(j));
    feeders.resize(std::min(feeders.size(), ToSize(choice.feeders)));
    report.feeders.emplace(first.head(j), std::move(feeders));
  }
  const std::unique_ptr<ImageSet> set = OpenImagesOf(store.info(), choice.images);
  if (set == nullptr) {
    report.problem = fmt::format("the pictures are gone from {}", store.info().data.front().root);
  } else {
    MapNeurons(model, *set, kMapSide, work, report.shown);
  }
  for (const NeuronShown& one : report.shown) {
    const Index maps = std::ranges::count_if(
        one.pictures, [](const TopPicture& picture) { return picture.picture.has_value(); });
    report.maps += maps;
    report.missing += std::ssize(one.pictures) - maps;
  }
  if (report.maps == 0 && report.problem.empty() && !report.shown.empty()) {
    report.problem =
        fmt::format("none of them is among the pictures of {}",
                    choice.images.empty() ? store.info().data.front().root : choice.images);
  }
  return report;
}

}  // namespace cliplens
