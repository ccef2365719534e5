#include "cliplens/analysis/class_maps.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cliplens/analysis/neuron_scores.h"
#include "cliplens/analysis/token_map.h"
#include "cliplens/base/error.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

Array<float, 2> Contrasts(ArrayView<const float, 2> classifier) {
  const Index classes = classifier.dim(0);
  Array<float, 2> directions({classes, classifier.dim(1)});
  for (Index k = 0; k < classifier.dim(1); ++k) {
    double mean = 0;
    for (Index c = 0; c < classes; ++c) mean += classifier(c, k);
    mean = classes > 1 ? mean / static_cast<double>(classes) : 0.0;
    for (Index c = 0; c < classes; ++c) {
      directions(c, k) = static_cast<float>(classifier(c, k) - mean);
    }
  }
  return directions;
}

// The pooled row of the pattern [N], averaged over the heads.
std::vector<double> LastAttention(const Captures& c) {
  const Index heads = c.pattern.dim(1);
  std::vector<double> row(ToSize(c.pattern.dim(2)), 0.0);
  const auto pattern = c.pattern[c.pattern.layers.end - 1];
  for (Index h = 0; h < heads; ++h) {
    const std::span<const float> alpha = pattern.row(h);
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] += alpha[i] / static_cast<double>(heads);
    }
  }
  return row;
}

std::vector<double> Rollout(const Captures& c, const ModelConfig& config) {
  const Index tokens = c.attention.dim(1);
  // From the class token; where a pool reads more rows, from these alike.
  std::vector<double> row(ToSize(tokens), 0.0);
  if (config.pool.kind == Pooling::kToken) {
    row[0] = 1;
  } else {
    const Index first = config.pool.kind != Pooling::kAttention ? config.layout().prefix : 0;
    std::ranges::fill(std::span(row).subspan(ToSize(first)),
                      1.0 / static_cast<double>(tokens - first));
  }
  for (Index l = c.attention.dim(0) - 1; l >= 0; --l) {
    std::vector<double> next(row.size(), 0.0);
    for (Index i = 0; i < tokens; ++i) {
      const double part = At(row, i) / 2;
      const std::span<const float> alpha = c.attention[l].row(i);
      for (std::size_t j = 0; j < next.size(); ++j) next[j] += part * alpha[j];
      At(next, i) += part;
    }
    row = std::move(next);
  }
  return row;
}

// ⟨unit embedding of token i, direction⟩: the read-out applied to every token.
std::vector<double> PatchText(const Readout& readout, const Captures& c,
                              std::span<const float> direction) {
  const Matrix embedded = readout.EmbedRows(c.last);
  std::vector<double> scores;
  for (Index i = 0; i < embedded.rows(); ++i) {
    double dot = 0;
    for (Index k = 0; k < embedded.cols(); ++k) dot += embedded(i, k) * At(direction, k);
    const double norm = embedded.row(i).norm();
    scores.push_back(norm > 0 ? dot / norm : 0.0);
  }
  return scores;
}

// Checks the store, and sets the layers to its own where none are named.
void CheckNeuronMaps(const ClipModel& model, NeuronMaps& neurons) {
  const StoreInfo& info = neurons.store->info();
  if (info.neurons->text) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} is of the text tower's neurons; name one of pictures",
                neurons.store->directory().string());
  }
  if (info.fingerprint != model.fingerprint()) {
    throw Error(ErrorCode::kInvalidArgument, "{} is of model {} ({}), not of {} ({})",
                neurons.store->directory().string(), info.model_name, info.fingerprint,
                model.name(), model.fingerprint());
  }
  if (neurons.layers.empty()) neurons.layers = neurons.store->layers();
  for (Index l = neurons.layers.begin; l < neurons.layers.end; ++l) {
    const NeuronPaths& paths = neurons.store->paths(l);
    if (paths.neurons() == model.config().vision.mlp_width &&
        paths.embed_width() == model.config().embed_width) {
      continue;
    }
    throw Error(ErrorCode::kCorruptData,
                "{}: {} neurons of layer {} and embeddings of {}, its model has {} and {}; collect "
                "again",
                neurons.store->directory().string(), paths.neurons(), l, paths.embed_width(),
                model.config().vision.mlp_width, model.config().embed_width);
  }
}

// For each class the neurons of largest |⟨r_n, w_c⟩|; ties go to the lower.
std::vector<std::vector<NeuronId>> NeuronsOfClasses(const Array<float, 2>& classifier,
                                                    const NeuronMaps& neurons) {
  std::vector<NeuronId> ids;
  Matrix along(0, classifier.dim(0));
  for (Index l = neurons.layers.begin; l < neurons.layers.end; ++l) {
    const Array<float, 2>& top = neurons.store->directions(l).top;
    const Matrix of_layer = nn::Product(nn::Of(top.view()), nn::Of(classifier.view()).Transposed());
    along.conservativeResize(along.rows() + of_layer.rows(), Eigen::NoChange);
    along.bottomRows(of_layer.rows()) = of_layer;
    for (Index n = 0; n < top.dim(0); ++n) {
      ids.push_back({static_cast<int>(l), static_cast<int>(n)});
    }
  }
  std::vector<std::vector<NeuronId>> of_class;
  for (Index c = 0; c < along.cols(); ++c) {
    std::vector<Index> order(ids.size());
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::stable_sort(order, std::greater<>(),
                             [&](Index i) { return std::abs(along(i, c)); });
    order.resize(std::min(order.size(), ToSize(neurons.top)));
    std::vector<NeuronId>& chosen = of_class.emplace_back();
    for (const Index i : order) chosen.push_back(At(ids, i));
  }
  return of_class;
}

// By token, over some neurons.
std::vector<double> MeanActivation(const Captures& c, const std::vector<NeuronId>& neurons) {
  std::vector<double> mean(ToSize(c.hidden.dim(1)), 0.0);
  for (const NeuronId id : neurons) {
    const auto hidden = c.hidden[id.layer];
    for (Index i = 0; i < std::ssize(mean); ++i) {
      At(mean, i) += hidden(i, id.neuron) / static_cast<double>(neurons.size());
    }
  }
  return mean;
}

}  // namespace

const char* NameOf(MapMethod method) {
  switch (method) {
    case MapMethod::kDecomposition:
      return "decomposition";
    case MapMethod::kRawAttention:
      return "raw-attention";
    case MapMethod::kRollout:
      return "rollout";
    case MapMethod::kPatchText:
      return "patch-text";
    case MapMethod::kNeurons:
      return "neurons";
    case MapMethod::kNeuronEffects:
      return "neuron-effects";
    case MapMethod::kBackground:
      return "background";
  }
  return "";
}

ClassMaps::ClassMaps(const ClipModel& model, ArrayView<const float, 2> classifier, MapMethod method,
                     std::vector<HeadId> heads, int threads, const NeuronMaps& neurons)
    : model_(model),
      classifier_({classifier.dim(0), classifier.dim(1)},
                  std::vector<float>(classifier.flat().begin(), classifier.flat().end())),
      directions_(Contrasts(classifier)),
      method_(method),
      heads_(std::move(heads)) {
  if (method == MapMethod::kNeurons || method == MapMethod::kNeuronEffects) {
    NeuronMaps checked = neurons;
    if (checked.store != nullptr) CheckNeuronMaps(model, checked);
    layers_ = checked.layers;
    if (method == MapMethod::kNeurons) {
      if (checked.store == nullptr) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "maps by neurons: name a store of neurons with --neurons, whose directions are used");
      }
      of_class_ = NeuronsOfClasses(classifier_, checked);
    }
  }
  if (method == MapMethod::kNeuronEffects) {
    if (layers_.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "maps by neurons' effects: name their layers with --layers, or with --neurons "
                  "a store that has them");
    }
    for (Index l = layers_.begin; l < layers_.end; ++l) {
      paths_.emplace_back(model.image_tower(), model.image_readout(), l, threads);
    }
  }
  if (method == MapMethod::kDecomposition) {
    weights_.emplace(model.image_readout(), directions_, threads);
  }
}

CaptureRequest ClassMaps::captures() const {
  switch (method_) {
    case MapMethod::kDecomposition:
      return TokenCaptures();
    case MapMethod::kRawAttention: {
      const Index layers = model_.image_readout().config().layers;
      return {.pattern = {layers - 1, layers}};
    }
    case MapMethod::kRollout:
      return {.attention = kAllLayers};
    case MapMethod::kPatchText:
      return {.last = true};
    case MapMethod::kNeurons:
      return {.hidden = layers_};
    case MapMethod::kNeuronEffects:
      return NeuronPaths::CapturesFor(layers_);
    case MapMethod::kBackground:
      break;
  }
  return {};
}

std::vector<Index> ClassMaps::Answers(ArrayView<const float, 2> embeddings) const {
  const Matrix scores = nn::Product(nn::Of(embeddings), nn::Of(classifier_.view()).Transposed());
  std::vector<Index> answers(ToSize(scores.rows()));
  for (Index b = 0; b < scores.rows(); ++b) {
    scores.row(b).maxCoeff(&At(answers, b));  // the first of equal ones
  }
  return answers;
}

Array<double, 2> ClassMaps::MapOf(const Captures& captures, Index c) const {
  const TokenLayout layout = model_.config().layout();
  switch (method_) {
    case MapMethod::kDecomposition: {
      const TokenScores scores =
          ScoreTokens(*weights_, captures, {.heads = heads_, .directions = {&c, 1}, .rest = false},
                      /*threads=*/1);
      return GridOf(scores.tokens.row(0), layout);
    }
    case MapMethod::kRawAttention:
      return GridOf(LastAttention(captures), layout);
    case MapMethod::kRollout:
      return GridOf(Rollout(captures, model_.config()), layout);
    case MapMethod::kPatchText:
      return GridOf(PatchText(model_.image_readout(), captures, directions_.row(c)), layout);
    case MapMethod::kNeurons:
      return GridOf(MeanActivation(captures, At(of_class_, c)), layout);
    case MapMethod::kNeuronEffects: {
      const std::span<const float> row = directions_.row(c);
      const Vector direction =
          Eigen::Map<const Eigen::VectorXf>(row.data(), std::ssize(row)).cast<double>();
      Vector tokens = Vector::Zero(captures.pattern.dim(2));
      for (const NeuronPaths& paths : paths_) {
        tokens += TokensOfAllNeurons(paths, captures, direction);
      }
      return GridOf({tokens.data(), ToSize(tokens.size())}, layout);
    }
    case MapMethod::kBackground:
      break;
  }
  return Array<double, 2>({layout.grid, layout.grid});
}

}  // namespace cliplens
