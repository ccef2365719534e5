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
#include "cliplens/model/resize.h"

namespace cliplens {
namespace {

RowVector RowOf(std::span<const float> row) {
  return Eigen::Map<const Eigen::RowVectorXf>(row.data(), std::ssize(row)).cast<double>();
}

std::vector<CarryingHead> HeadsCarrying(const NeuronStore& store, NeuronId id,
                                        const RowVector& direction, Index count) {
  const NeuronPaths& paths = store.paths(id.layer);
  const NeuronDirections& d = store.directions(id.layer);
  const Matrix written = paths.DirectionsByHead(id.neuron);
  std::vector<CarryingHead> heads;
  for (Index j = 0; j < paths.heads(); ++j) {
    const double length = written.row(j).norm();
    heads.push_back({paths.head(j), ShareOfHead(paths, d, id.neuron, j),
                     length > 0 ? written.row(j).dot(direction) / length : 0});
  }
  std::ranges::stable_sort(heads, std::greater<>(),
                           [](const CarryingHead& h) { return std::abs(h.share); });
  heads.resize(std::min(heads.size(), ToSize(count)));
  return heads;
}

// The picture with its longer side at most `side` pixels.
MappedPicture Shrunk(MappedPicture picture, Index side) {
  const Index longest = std::max(picture.rgb.width, picture.rgb.height);
  if (side <= 0 || longest <= side) return picture;
  const auto fit = [&](Index n) { return std::max<Index>(1, (n * side + longest / 2) / longest); };
  const Index width = fit(picture.rgb.width), height = fit(picture.rgb.height);
  const double x = static_cast<double>(width) / static_cast<double>(picture.rgb.width);
  const double y = static_cast<double>(height) / static_cast<double>(picture.rgb.height);
  picture.rgb = Resize(picture.rgb, width, height, Interpolation::kBicubic);
  const GridRegion& r = picture.region;
  picture.region = {r.left * x, r.top * y, r.right * x, r.bottom * y};
  return picture;
}

// The layers of neurons that pictures are mapped for.
LayerRange LayersOf(std::span<const NeuronShown> shown) {
  LayerRange layers = {shown.front().words.neurons.front().id.layer, 0};
  for (const NeuronShown& one : shown) {
    const Index layer = one.words.neurons.front().id.layer;
    layers = {std::min(layers.begin, layer), std::max(layers.end, layer + 1)};
  }
  return layers;
}

}  // namespace

NeuronFiring FiringOf(const Captures& captures, const TokenLayout& layout, NeuronId id) {
  const auto hidden = captures.hidden[id.layer];
  NeuronFiring firing{.id = id, .patches = Array<double, 2>({layout.grid, layout.grid})};
  if (layout.has_class()) firing.class_token = hidden(0, id.neuron);
  for (Index i = 0; i < layout.patches(); ++i) {
    firing.patches(i / layout.grid, i % layout.grid) = hidden(layout.prefix + i, id.neuron);
  }
  return firing;
}

void MapNeurons(const ClipModel& model, const ImageSet& set, Index map_side, const Work& work,
                std::span<NeuronShown> shown) {
  if (shown.empty()) return;
  struct Place {
    NeuronShown* neuron;
    TopPicture* picture;
  };
  std::map<std::string, std::vector<Place>> places;
  for (NeuronShown& one : shown) {
    for (TopPicture& picture : one.pictures) places[picture.path].push_back({&one, &picture});
  }
  std::map<std::string, Index> number_of;
  for (Index i = 0; i < set.size(); ++i) number_of.emplace(set.path(i), i);
  const CaptureRequest captures = {.hidden = LayersOf(shown)};
  const ProgressSink progress = work.Stage("pictures");
  PictureErrors errors(OnError::kSkip);
  Index done = 0;
  for (const auto& [path, wanted] : places) {
    Item item;
    std::optional<Image> image;
    if (const auto found = number_of.find(path); found != number_of.end()) {
      image = errors.Read(set, found->second, &item);
    }
    if (image) {
      const TokenPass pass = PassOf(model, *image, work.threads, path, captures);
      const MappedPicture mapped = Shrunk(MappedPictureOf(model, *image, path), map_side);
      for (const Place& place : wanted) {
        const NeuronFiring firing = FiringOf(pass.captures, model.config().layout(),
                                             place.neuron->words.neurons.front().id);
        place.picture->picture = mapped;
        place.picture->fires = firing.patches;
        place.picture->class_token = firing.class_token;
      }
    } else {
      for (const Place& place : wanted) ++place.neuron->missing;
    }
    if (progress) progress(++done, std::ssize(places));
  }
}

NeuronId OneNeuronNamed(const NeuronStore& store, const std::string& name) {
  const std::vector<NeuronId> ids = NeuronsNamed(store, name);
  if (ids.size() == 1) return ids.front();
  throw Error(ErrorCode::kInvalidArgument, "'{}': one neuron is wanted, as L9.N2914",
              Printable(name));
}

NeuronShown ShowNeuron(const NeuronStore& store, const NeuronPool& pool,
                       std::span<const Item> items, NeuronId id, const NeuronShowChoice& choice,
                       const Work& work) {
  NeuronShown shown{
      .words = DescribeNeurons(store, pool, {id}, choice.words, work), .heads = {}, .pictures = {}};
  shown.heads = HeadsCarrying(store, id, RowOf(shown.words.directions.row(0)), choice.heads);
  const NeuronDirections& d = store.directions(id.layer);
  for (Index i = 0; i < std::min(choice.pictures, d.top_norm.dim(1)); ++i) {
    const Index number = d.top_pictures(id.neuron, i);
    shown.pictures.push_back({.number = number,
                              .path = At(items, number).path,
                              .norm = d.top_norm(id.neuron, i),
                              .along = d.top_along(id.neuron, i)});
  }
  return shown;
}

NeuronShown ShowNeuron(const NeuronStore& store, const LazyModel& model,
                       const NeuronShowChoice& choice, const Work& work) {
  const NeuronId id = OneNeuronNamed(store, choice.neuron);
  NeuronShown shown = ShowNeuron(store, OpenNeuronPool(model.ForRows(), choice.words, work),
                                 store.ReadItems(), id, choice, work);
  if (!choice.maps) return shown;
  RequirePictures(store, "maps");
  const std::unique_ptr<ImageSet> set = OpenImagesOf(store.info(), choice.images);
  if (!set) {
    throw Error(ErrorCode::kNotFound,
                "{}: the pictures of this store are gone from {}; say where they are with --images",
                store.directory().string(), store.info().data.front().root);
  }
  MapNeurons(model.Get(), *set, choice.map_side, work, {&shown, 1});
  if (shown.missing < std::ssize(shown.pictures)) return shown;
  throw Error(
      ErrorCode::kNotFound,
      "{}: none of the neuron's pictures can be read there, the first is {}; name the place "
      "of the store's pictures with --images",
      choice.images.empty() ? store.info().data.front().root : choice.images,
      Printable(shown.pictures.front().path));
}

Discovery DiscoverConcepts(const NeuronStore& store, const ClipModel& model, const Image& picture,
                           const std::string& path, const DiscoveryChoice& choice,
                           const Work& work) {
  RequirePictures(store, "concepts of a picture");
  NeuronWordsChoice words = choice.words;
  words.neurons = choice.layers;
  const std::vector<NeuronId> ids = NeuronsNamed(store, words.neurons);
  const LayerRange layers = {ids.front().layer, ids.back().layer + 1};
  const TokenPass pass = PassOf(model, picture, work.threads, path, CapturesThrough(layers));

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
  Discovery found{.store = store.info(),
                  .pool = {},
                  .path = path,
                  .neurons = std::ssize(ids),
                  .active = std::ssize(active),
                  .strongest = {},
                  .concepts = {},
                  .against = {}};
  if (active.empty()) return found;
  std::vector<NeuronId> of_active;
  of_active.reserve(active.size());
  for (const ActiveNeuron& a : active) of_active.push_back(a.neuron.id);
  NeuronWordsReport described =
      DescribeNeurons(store, OpenNeuronPool(model, words, work), of_active, words, work);
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
  RequirePictures(store, "cues of pictures");
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
  std::vector<NeuronId> of_important;
  of_important.reserve(important.size());
  for (const auto& [amount, id] : important) of_important.push_back(id);
  NeuronWordsReport described =
      DescribeNeurons(store, OpenNeuronPool(model, words, work), of_important, words, work);
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
