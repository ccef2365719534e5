#include "cliplens/app/neuron_pictures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "cliplens/analysis/neuron_scores.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/pictures.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/picture_loop.h"

namespace cliplens {
namespace {

RowVector RowOf(std::span<const float> row) {
  return Eigen::Map<const Eigen::RowVectorXf>(row.data(), std::ssize(row)).cast<double>();
}

std::vector<CarryingHead> HeadsCarrying(const NeuronStore& store, NeuronId id,
                                        const RowVector& direction, Index count) {
  const NeuronPaths& paths = store.paths(id.layer);
  const NeuronDirections& d = store.directions(id.layer);
  const Matrix written = paths.Directions(id.neuron);
  std::vector<CarryingHead> heads;
  for (Index j = 0; j < paths.channels(); ++j) {
    const double length = written.row(j).norm();
    heads.push_back({paths.head(j), d.channel_share(id.neuron, j),
                     length > 0 ? written.row(j).dot(direction) / length : 0});
  }
  std::ranges::stable_sort(heads, std::greater<>(),
                           [](const CarryingHead& h) { return std::abs(h.share); });
  heads.resize(std::min(heads.size(), ToSize(count)));
  return heads;
}

// Where a neuron fires in a picture of a set; nothing if it cannot be read.
bool MapPicture(const ClipModel& model, const ImageSet& set, Index number, NeuronId id, int threads,
                TopPicture& top) {
  PictureErrors errors(OnError::kSkip);
  Item item;
  const std::optional<Image> image = errors.Read(set, number, &item);
  if (!image) return false;
  const TokenPass pass = PassOf(model, *image, threads, item.path, CapturesThrough(id.layer));
  const auto hidden = pass.captures.hidden[id.layer];
  const Index grid = model.config().grid();
  top.picture = MappedPictureOf(model, *image, item.path);
  top.fires = Array<double, 2>({grid, grid});
  top.class_token = hidden(0, id.neuron);
  for (Index i = 0; i < grid * grid; ++i) {
    top.fires(i / grid, i % grid) = hidden(i + 1, id.neuron);
  }
  return true;
}

void MapPictures(const NeuronStore& store, const LazyModel& model, const std::string& images,
                 NeuronId id, int threads, NeuronShown& shown) {
  const std::unique_ptr<ImageSet> set = OpenImagesOf(store.info(), images);
  if (!set) {
    throw Error(ErrorCode::kNotFound,
                "{}: the pictures of this store are gone from {}; say where they are with --images",
                store.directory().string(), store.info().data.front().root);
  }
  std::map<std::string, Index> number_of;
  for (Index i = 0; i < set->size(); ++i) number_of.emplace(set->path(i), i);
  for (TopPicture& picture : shown.pictures) {
    const auto found = number_of.find(picture.path);
    if (found == number_of.end() ||
        !MapPicture(model.Get(), *set, found->second, id, threads, picture)) {
      ++shown.missing;
    }
  }
  if (shown.missing < std::ssize(shown.pictures)) return;
  throw Error(
      ErrorCode::kNotFound,
      "{}: none of the neuron's pictures can be read there, the first is {}; name the place "
      "of the store's pictures with --images",
      images.empty() ? store.info().data.front().root : images,
      Printable(shown.pictures.front().path));
}

}  // namespace

NeuronShown ShowNeuron(const NeuronStore& store, const LazyModel& model,
                       const NeuronShowChoice& choice, const Work& work) {
  NeuronWordsChoice words = choice.words;
  words.neurons = choice.neuron;
  NeuronShown shown{.words = {}, .heads = {}, .pictures = {}};
  if (NeuronsNamed(store, choice.neuron).size() != 1) {
    throw Error(ErrorCode::kInvalidArgument, "'{}': one neuron is wanted, as L9.N2914",
                Printable(choice.neuron));
  }
  shown.words = DescribeNeurons(store, model.ForRows(), words, work);
  const NeuronId id = shown.words.neurons.front().id;
  shown.heads = HeadsCarrying(store, id, RowOf(shown.words.directions.row(0)), choice.heads);
  const NeuronDirections& d = store.directions(id.layer);
  const std::vector<Item> items = store.ReadItems();
  for (Index i = 0; i < std::min(choice.pictures, d.top_norm.dim(1)); ++i) {
    const Index number = d.top_pictures(id.neuron, i);
    shown.pictures.push_back({.number = number,
                              .path = At(items, number).path,
                              .norm = d.top_norm(id.neuron, i),
                              .along = d.top_along(id.neuron, i)});
  }
  if (choice.maps) RequirePictures(store, "maps");
  if (choice.maps) MapPictures(store, model, choice.images, id, work.threads, shown);
  return shown;
}

Discovery DiscoverConcepts(const NeuronStore& store, const ClipModel& model, const Image& picture,
                           const std::string& path, const DiscoveryChoice& choice,
                           const Work& work) {
  RequirePictures(store, "concepts of a picture");
  NeuronWordsChoice words = choice.words;
  words.neurons = choice.layers;
  const std::vector<NeuronId> ids = NeuronsNamed(store, words.neurons);
  const LayerRange layers = {ids.front().layer, ids.back().layer + 1};
  CaptureRequest captures = TokenCaptures();
  const CaptureRequest neurons = NeuronPaths::CapturesFor(layers);
  captures.norm1 = neurons.norm1;
  captures.hidden = neurons.hidden;
  const TokenPass pass = PassOf(model, picture, work.threads, path, captures);

  // Effects less their mean, of each layer.
  std::vector<ActiveNeuron> active;
  for (Index l = layers.begin; l < layers.end; ++l) {
    const NeuronPaths& paths = store.paths(l);
    const NeuronDirections& d = store.directions(l);
    NeuronCoefficients c = paths.CoefficientsOf(pass.captures);
    c.alpha -= AsEigen(d.mean_alpha.view());
    c.shared -= Eigen::Map<const RowVector>(d.mean_shared.data(), c.shared.size());
    const RowVector constants = c.shared * paths.shared();
    for (Index n = 0; n < paths.neurons(); ++n) {
      const RowVector effect = c.alpha.row(n) * paths.Directions(n) + constants;
      const double norm = effect.norm();
      if (static_cast<float>(norm) <= d.threshold(n)) continue;
      active.push_back({.neuron = {.id = {static_cast<int>(l), static_cast<int>(n)}, .words = {}},
                        .norm = norm,
                        .along = effect.dot(RowOf(d.top.row(n)))});
    }
  }
  std::string names;
  for (const ActiveNeuron& a : active) {
    names += (names.empty() ? "" : ",") + NeuronName(a.neuron.id);
  }
  Discovery found{.store = store.info(),
                  .pool = {},
                  .path = path,
                  .neurons = std::ssize(ids),
                  .active = std::ssize(active),
                  .strongest = {},
                  .concepts = {},
                  .against = {}};
  if (active.empty()) return found;
  words.neurons = names;
  NeuronWordsReport described = DescribeNeurons(store, model, words, work);
  found.pool = std::move(described.pool);
  std::map<Index, double> scores;
  for (std::size_t i = 0; i < active.size(); ++i) {
    active[i].neuron = std::move(described.neurons[i]);
    for (const NeuronWord& word : active[i].neuron.words) {
      scores[word.text] += word.weight * active[i].along;
    }
  }
  std::ranges::stable_sort(active, std::greater<>(),
                           [](const ActiveNeuron& a) { return std::abs(a.along); });
  active.resize(std::min(active.size(), ToSize(choice.neurons)));
  found.strongest = std::move(active);
  std::vector<Discovered> ranked;
  ranked.reserve(scores.size());
  for (const auto& [text, score] : scores) ranked.push_back({text, score});
  std::ranges::stable_sort(ranked, std::greater<>(), &Discovered::score);
  for (const Discovered& d : ranked) {
    if (d.score > 0 && std::ssize(found.concepts) < choice.concepts) found.concepts.push_back(d);
  }
  std::ranges::reverse(ranked);
  for (const Discovered& d : ranked) {
    if (d.score < 0 && std::ssize(found.against) < choice.concepts) found.against.push_back(d);
  }
  return found;
}

NeuronCue FindCue(const NeuronStore& store, const ClipModel& model, const NeuronCueChoice& choice,
                  const Work& work) {
  const Array<float, 2> rows =
      EmbedWords(model, {choice.towards, choice.from}, work.threads, choice.words.truncate);
  const Vector direction = (RowOf(rows.row(0)) - RowOf(rows.row(1))).transpose();
  NeuronWordsChoice words = choice.words;
  const std::vector<NeuronId> ids = NeuronsNamed(store, choice.layers);
  const Array<float, 2> directions = DirectionsOfNeurons(store, ids, words.pictures);
  std::vector<std::pair<double, NeuronId>> important;
  for (Index i = 0; i < std::ssize(ids); ++i) {
    important.emplace_back(RowOf(directions.row(i)).dot(direction), At(ids, i));
  }
  std::ranges::stable_sort(important, std::greater<>(),
                           [](const auto& a) { return std::abs(a.first); });
  important.resize(std::min(important.size(), ToSize(choice.neurons)));
  std::ranges::sort(important, {}, &std::pair<double, NeuronId>::second);
  words.neurons.clear();
  for (const auto& [amount, id] : important) {
    words.neurons += (words.neurons.empty() ? "" : ",") + NeuronName(id);
  }
  NeuronWordsReport described = DescribeNeurons(store, model, words, work);
  std::map<Index, double> scores;
  for (std::size_t i = 0; i < important.size(); ++i) {
    for (const NeuronWord& word : described.neurons[i].words) {
      scores[word.text] += word.weight * important[i].first;
    }
  }
  NeuronCue cue{.store = store.info(),
                .pool = std::move(described.pool),
                .towards = choice.towards,
                .from = choice.from,
                .neurons = std::ssize(important),
                .words = {},
                .direction = direction};
  std::vector<NeuronCueWord> ranked;
  for (const auto& [text, score] : scores) {
    if (score > 0) ranked.push_back({text, score});
  }
  std::ranges::stable_sort(ranked, std::greater<>(), &NeuronCueWord::score);
  const Array<float, 2> texts = RowsOfPool(model, cue.pool, words.truncate, work);
  const RowVector mean = AsEigen(texts.view()).cast<double>().colwise().mean();
  const RowVector towards = RowOf(rows.row(0)) - mean;
  const auto similar = [&](Index text) {
    const RowVector row = RowOf(texts.row(text)) - mean;
    return row.dot(towards) >= choice.similar * row.norm() * towards.norm();
  };
  for (const NeuronCueWord& word : ranked) {
    if (std::ssize(cue.words) == choice.count) break;
    if (similar(word.text)) {
      ++cue.left_out;
    } else {
      cue.words.push_back(word);
    }
  }
  return cue;
}

CueScores ScoreCue(const ClipModel& model, const NeuronCue& cue, const ImagesChoice& images,
                   OnError on_error, const Work& work) {
  const std::unique_ptr<ImageSet> set = OpenImages(images, on_error);
  EmbeddedImages embedded =
      EmbedReadableImages(model, *set, on_error, work.threads, work.Stage("pictures"));
  CueScores scored{.place = images.images,
                   .pictures = embedded.rows.dim(0),
                   .share = {},
                   .scores = {},
                   .skipped = std::move(embedded.skipped),
                   .incomplete = std::move(embedded.incomplete),
                   .left_out = set->left_out(),
                   .oriented = embedded.oriented};
  for (Index i = 0; i < scored.pictures; ++i) {
    const double score = RowOf(embedded.rows.row(i)).dot(cue.direction);
    if (score > 0) ++scored.towards;
    scored.scores.emplace_back(set->path(At(embedded.index, i)), score);
  }
  scored.share = WilsonShare(scored.towards, scored.pictures);
  return scored;
}

}  // namespace cliplens
