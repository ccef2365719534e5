#include "cliplens/app/neurons.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// Layers of a tower: of the store and the last, which has no neurons of its own here.
Index TowerLayers(const NeuronStore& store) {
  const NeuronPaths& last = store.paths(store.layers().end - 1);
  return last.head(last.channels() - 1).layer + 1;
}

void CheckStored(const NeuronStore& store, LayerRange layers) {
  (void)store.paths(layers.begin);
  (void)store.paths(layers.end - 1);
}

NeuronWords FiguresOfNeuron(const NeuronStore& store, NeuronId id) {
  const NeuronDirections& d = store.directions(id.layer);
  return {.id = id,
          .variance = At(d.variance, id.neuron),
          .top_explained = At(d.top_explained, id.neuron),
          .all_explained = At(d.all_explained, id.neuron),
          .threshold = d.threshold(id.neuron),
          .words = {}};
}

// What layers are measured with.
struct NeuronAccuracy {
  std::optional<NeuronStore> other;  // the store of directions, where it is another
  AccuracyInput input;
  LayerRange layers;

  NeuronAccuracy(const NeuronStore& store, const LazyModel& model,
                 const NeuronAblationChoice& choice, const Work& work)
      : input(OpenAccuracy(store.info(), store.ReadItems(), store.directory().string(),
                           model.ForRows(), choice.classes, work)),
        layers(store.layers()) {
    if (!choice.layers.empty()) layers = ParseNeuronLayers(choice.layers, TowerLayers(store));
    CheckStored(store, layers);
    if (choice.directions.empty()) return;
    other = NeuronStore::Open(choice.directions);
    input.setting.means = choice.directions;
  }
  const NeuronStore& directions(const NeuronStore& own) const { return other ? *other : own; }
};

// Sums of the first texts of each path, [n, E] for each count.
std::vector<Array<float, 2>> SumsOfTexts(const PursuitAtoms& atoms,
                                         const std::vector<PursuitPath>& paths,
                                         const std::vector<Index>& counts, bool unit) {
  std::vector<Array<float, 2>> sums;
  for (const Index count : counts) {
    Array<float, 2>& rows = sums.emplace_back(Shape<2>{std::ssize(paths), atoms.width()});
    for (Index n = 0; n < std::ssize(paths); ++n) {
      const PursuitPath& path = At(paths, n);
      const Vector weights = path.Coefficients(count);
      RowVector sum = RowVector::Zero(atoms.width());
      for (Index k = 0; k < weights.size(); ++k) {
        sum += weights[k] * atoms.rows().row(At(path.texts, k));
      }
      const double length = sum.norm();
      if (unit && length > 0) sum /= length;
      std::ranges::transform(sum, rows.row(n).begin(),
                             [](double v) { return static_cast<float>(v); });
    }
  }
  return sums;
}

}  // namespace

WordsOfPath WordsOf(const PursuitPath& path) {
  WordsOfPath found;
  const Vector weights = path.Coefficients(path.size());
  for (Index k = 0; k < path.size(); ++k) found.words.push_back({At(path.texts, k), weights[k]});
  std::ranges::stable_sort(found.words, std::greater<>(),
                           [](const NeuronWord& w) { return std::abs(w.weight); });
  const double rest = path.size() == 0 ? path.squared_length : path.squared_rest.back();
  if (path.squared_length > 0) {
    found.cosine = std::sqrt(std::max(0.0, 1 - rest / path.squared_length));
  }
  return found;
}

void RequirePictures(const NeuronStore& store, const char* what) {
  if (!store.info().neurons->text) return;
  throw Error(ErrorCode::kUnsupported,
              "{}: {} is of the text tower's neurons on texts; name a store of pictures", what,
              store.directory().string());
}

std::vector<NeuronId> NeuronsNamed(const NeuronStore& store, const std::string& names) {
  std::set<NeuronId> neurons;
  const auto add_layers = [&](LayerRange layers) {
    CheckStored(store, layers);
    for (Index l = layers.begin; l < layers.end; ++l) {
      for (Index n = 0; n < store.paths(l).neurons(); ++n) {
        neurons.insert({static_cast<int>(l), static_cast<int>(n)});
      }
    }
  };
  if (names.empty()) add_layers(store.layers());
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    std::string name = names.substr(begin, end - begin);
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    begin = end + 1;
    const bool layers = !name.empty() && name.find('.') == std::string::npos &&
                        (name.starts_with("last-") || name == "all" || name.front() == 'L' ||
                         (name.front() >= '0' && name.front() <= '9'));
    if (layers) {
      add_layers(ParseNeuronLayers(name, TowerLayers(store)));
      continue;
    }
    const NeuronId id =
        ParseNeuron(name, TowerLayers(store), store.paths(store.layers().begin).neurons());
    (void)store.paths(id.layer);
    neurons.insert(id);
  }
  return {neurons.begin(), neurons.end()};
}

Array<float, 2> DirectionsOfNeurons(const NeuronStore& store, const std::vector<NeuronId>& neurons,
                                    NeuronPictures pictures) {
  Array<float, 2> rows({std::ssize(neurons), store.paths(store.layers().begin).embed_width()});
  for (Index i = 0; i < std::ssize(neurons); ++i) {
    const NeuronId id = At(neurons, i);
    const NeuronDirections& d = store.directions(id.layer);
    const Array<float, 2>& from = pictures == NeuronPictures::kAll ? d.all : d.top;
    std::ranges::copy(from.row(id.neuron), rows.row(i).data());
  }
  return rows;
}

NeuronPool MakeNeuronPool(TextPool pool, ArrayView<const float, 2> rows, TextScale scale) {
  return {.pool = std::move(pool), .scale = scale, .atoms = PursuitAtoms(rows, scale)};
}

NeuronPool OpenNeuronPool(const RowModel& model, const NeuronWordsChoice& choice,
                          const Work& work) {
  TextPool pool = ReadTextPool(TextsPath(choice.texts), work.on_blank);
  const Array<float, 2> rows = RowsOfPool(model, pool, choice.truncate, work);
  return MakeNeuronPool(std::move(pool), rows, choice.scale);
}

NeuronWordsReport DescribeNeurons(const NeuronStore& store, const RowModel& model,
                                  const NeuronWordsChoice& choice, const Work& work) {
  const std::vector<NeuronId> ids = NeuronsNamed(store, choice.neurons);
  return DescribeNeurons(store, OpenNeuronPool(model, choice, work), ids, choice, work);
}

NeuronWordsReport DescribeNeurons(const NeuronStore& store, const NeuronPool& pool,
                                  const std::vector<NeuronId>& ids, const NeuronWordsChoice& choice,
                                  const Work& work) {
  NeuronWordsReport report{.store = store.info(),
                           .embedding_variance = store.embedding().variance,
                           .pool = pool.pool,
                           .choice = choice,
                           .neurons = {},
                           .directions = DirectionsOfNeurons(store, ids, choice.pictures)};
  report.choice.scale = pool.scale;
  const std::vector<PursuitPath> paths = MatchingPursuit(
      pool.atoms, report.directions.view(),
      {.count = choice.count, .threads = work.threads, .progress = work.Stage("words")});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    NeuronWords& neuron = report.neurons.emplace_back(FiguresOfNeuron(store, ids[i]));
    WordsOfPath words = WordsOf(paths[i]);
    neuron.words = std::move(words.words);
    neuron.cosine = words.cosine;
    neuron.end = paths[i].end;
  }
  return report;
}

NeuronAblationReport AblateNeuronLayers(const NeuronStore& store, const LazyModel& model,
                                        const NeuronAblationChoice& choice, const Work& work) {
  RequirePictures(store, "accuracy");
  store.RequireFactors();
  const NeuronAccuracy accuracy(store, model, choice, work);
  const NeuronStore& directions = accuracy.directions(store);
  NeuronAblationReport report{
      .setting = accuracy.input.setting, .top = directions.info().neurons->top, .layers = {}};
  for (Index l = accuracy.layers.begin; l < accuracy.layers.end; ++l) {
    report.layers.push_back(AblateNeurons(
        store, directions, l, accuracy.input.classifier.rows, accuracy.input.labels.classes, {},
        {.threads = work.threads, .progress = work.Stage("pictures")}));
  }
  return report;
}

std::vector<NeuronReconstructionReport> ReconstructNeurons(const NeuronStore& store,
                                                           const LazyModel& model,
                                                           const NeuronReconstructionChoice& choice,
                                                           const Work& work) {
  if (choice.counts.empty() || choice.counts.front() < 1 ||
      std::ranges::adjacent_find(choice.counts, std::greater_equal<>()) != choice.counts.end()) {
    throw Error(ErrorCode::kInvalidArgument,
                "numbers of texts a neuron must ascend from 1 or more, as in 1,4,16");
  }
  std::vector<TextPool> pools;
  for (const std::string& texts : choice.texts) {
    pools.push_back(ReadTextPool(TextsPath(texts), work.on_blank));
  }
  RequirePictures(store, "accuracy");
  store.RequireFactors();
  const NeuronAccuracy accuracy(store, model, choice.ablation, work);
  const NeuronStore& directions = accuracy.directions(store);
  std::vector<PursuitAtoms> atoms;
  atoms.reserve(pools.size());
  for (const TextPool& pool : pools) {
    atoms.emplace_back(RowsOfPool(model.ForRows(), pool, choice.ablation.classes.truncate, work),
                       choice.scale);
  }
  std::vector<NeuronReconstructionReport> reports;
  for (Index l = accuracy.layers.begin; l < accuracy.layers.end; ++l) {
    std::vector<NeuronReplacement> replacements;
    for (std::size_t p = 0; p < pools.size(); ++p) {
      const std::vector<PursuitPath> paths =
          MatchingPursuit(atoms[p], directions.directions(l).top.view(),
                          {.count = choice.counts.back(),
                           .threads = work.threads,
                           .progress = work.Stage("words")});
      std::vector<Array<float, 2>> sums = SumsOfTexts(atoms[p], paths, choice.counts, choice.unit);
      for (std::size_t c = 0; c < sums.size(); ++c) {
        replacements.push_back(
            {fmt::format("{}-{}", pools[p].name, choice.counts[c]), std::move(sums[c])});
      }
    }
    NeuronAblation measured = AblateNeurons(
        store, directions, l, accuracy.input.classifier.rows, accuracy.input.labels.classes,
        replacements, {.threads = work.threads, .progress = work.Stage("pictures")});
    NeuronReconstructionReport report{.setting = accuracy.input.setting,
                                      .layer = l,
                                      .images = measured.images,
                                      .counts = choice.counts,
                                      .unit = choice.unit,
                                      .scale = choice.scale,
                                      .base = measured.rows[0],
                                      .nothing = measured.rows[1],
                                      .direction = measured.rows[4],
                                      .pools = {}};
    auto row = measured.rows.begin() + 5;
    for (const TextPool& pool : pools) {
      const auto end = row + std::ssize(choice.counts);
      report.pools.push_back({pool.name, std::ssize(pool.texts), pool.blank, {row, end}});
      row = end;
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace cliplens
