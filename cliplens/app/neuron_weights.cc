#include "cliplens/app/neuron_weights.h"

#include <algorithm>
#include <numeric>

#include "cliplens/analysis/neuron_weights.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/parallel.h"

namespace cliplens {
namespace {

std::vector<HeadFeed> FeedsOf(const NeuronPaths& paths, const Matrix& norms, Index feeders) {
  const Vector strength = FeedOfChannels(norms);
  std::vector<HeadFeed> feeds;
  for (Index j = 0; j < paths.heads(); ++j) {
    std::vector<Index> order(ToSize(paths.neurons()));
    std::iota(order.begin(), order.end(), Index{0});
    const auto kept = static_cast<std::ptrdiff_t>(std::min(order.size(), ToSize(feeders)));
    std::ranges::partial_sort(order, order.begin() + kept, [&](Index a, Index b) {
      return norms(a, j) != norms(b, j) ? norms(a, j) > norms(b, j) : a < b;
    });
    order.resize(ToSize(kept));
    feeds.push_back({paths.head(j), strength[j], std::move(order)});
  }
  return feeds;
}

}  // namespace

NeuronWeightsReport DescribeNeuronWeights(const ClipModel& model, const NeuronWeightsChoice& choice,
                                          const Work& work) {
  const Tower& tower = choice.text ? model.text_tower() : model.image_tower();
  const Readout& readout = choice.text ? model.text_readout() : model.image_readout();
  const LayerRange layers = ParseNeuronLayers(choice.layers, tower.config().layers);
  NeuronWeightsReport report{.model_name = model.name(),
                             .fingerprint = model.fingerprint(),
                             .text = choice.text,
                             .pool = ReadTextPool(TextsPath(choice.texts), work.on_blank),
                             .scale = choice.scale,
                             .layers = {}};
  const PursuitAtoms atoms(RowsOfPool(model, report.pool, choice.truncate, work), choice.scale);
  const int threads = ResolveThreads(work.threads);
  tower.Pack(threads);
  for (Index l = layers.begin; l < layers.end; ++l) {
    const NeuronPaths paths(tower, readout, l, threads);
    const Matrix norms = PairNorms(paths, threads);
    const std::vector<NeuronPair> strongest = StrongestPairs(norms, choice.pairs);
    Matrix directions(std::ssize(strongest), paths.embed_width());
    for (Index i = 0; i < directions.rows(); ++i) {
      const NeuronPair& pair = At(strongest, i);
      directions.row(i) = paths.DirectionsByHead(pair.neuron).row(pair.channel);
      if (pair.norm > 0) directions.row(i) /= pair.norm;
    }
    const std::vector<PursuitPath> found = MatchingPursuit(
        atoms, directions,
        {.count = choice.count, .threads = threads, .progress = work.Stage("words")});
    NeuronLayerWeights& layer = report.layers.emplace_back();
    layer.layer = l;
    layer.neurons = paths.neurons();
    layer.heads = FeedsOf(paths, norms, choice.feeders);
    for (std::size_t i = 0; i < strongest.size(); ++i) {
      WordsOfPath words = WordsOf(found[i]);
      layer.pairs.push_back({{static_cast<int>(l), static_cast<int>(strongest[i].neuron)},
                             paths.head(strongest[i].channel),
                             strongest[i].norm,
                             std::move(words.words),
                             words.cosine});
    }
  }
  return report;
}

}  // namespace cliplens
