#include "cliplens/analysis/neuron_ablation.h"

#include <algorithm>
#include <utility>

#include "cliplens/analysis/scored_labels.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// What is held in memory at a time.
constexpr Index kNeuronsAtATime = 16;
constexpr Index kPicturesAtATime = 4096;
constexpr Index kPicturesATask = 64;
constexpr Index kFixedRows = 5;

// What single neurons do on some pictures, summed over the neurons.
struct EffectSums {
  Matrix all, significant;        // [B, E]
  std::vector<Matrix> along;      // of r_n, then of each replacement
  std::vector<double> exceeding;  // [B] how many neurons are significant

  EffectSums(Index pictures, Index width, std::size_t replacements)
      : all(Matrix::Zero(pictures, width)),
        significant(all),
        along(1 + replacements, all),
        exceeding(ToSize(pictures), 0) {}
};

class EffectSummation {
 public:
  EffectSummation(const NeuronPaths& paths, const NeuronDirections& directions,
                  std::span<const NeuronReplacement> replacements, int threads)
      : paths_(paths), directions_(directions), replacements_(replacements), threads_(threads) {}

  // Neuron after neuron, so that no sum depends on the number of threads.
  EffectSums Sum(const NeuronFactors& factors) const {
    const Index pictures = factors.pictures;
    EffectSums sums(pictures, paths_.embed_width(), replacements_.size());
    Matrix shared = AsEigen(factors.shared.view()).cast<double>();
    shared.rowwise() -= Eigen::Map<const RowVector>(directions_.mean_shared.data(), shared.cols());
    const Matrix constants = nn::Product(nn::Of(shared), nn::Of(paths_.shared()));
    for (Index first = 0; first < paths_.neurons(); first += kNeuronsAtATime) {
      const Index count = std::min(kNeuronsAtATime, paths_.neurons() - first);
      const Array<float, 3> alpha = factors.alpha(first, count);
      const std::vector<Matrix> of_neuron = paths_.Directions(first, count);
      ParallelFor(threads_, (pictures + kPicturesATask - 1) / kPicturesATask, [&](Index task, int) {
        const Index begin = task * kPicturesATask;
        const Index end = std::min(begin + kPicturesATask, pictures);
        for (Index n = 0; n < count; ++n) {
          AddNeuron(first + n, alpha.view()[n].rows(begin, end), At(of_neuron, n), constants, begin,
                    sums);
        }
      });
    }
    return sums;
  }

 private:
  // Pictures from `begin` on.
  void AddNeuron(Index n, ArrayView<const float, 2> alpha, const Matrix& directions,
                 const Matrix& constants, Index begin, EffectSums& sums) const {
    Matrix centred = AsEigen(alpha).cast<double>();
    centred.rowwise() -=
        Eigen::Map<const RowVector>(directions_.mean_alpha.row(n).data(), centred.cols());
    const Index count = centred.rows();
    Matrix effects = constants.middleRows(begin, count);
    nn::AddProduct(nn::Of(centred), nn::Of(directions), effects);
    sums.all.middleRows(begin, count) += effects;
    const float threshold = directions_.threshold(n);  // one of these norms, rounded
    for (Index b = 0; b < count; ++b) {
      if (static_cast<float>(effects.row(b).norm()) <= threshold) continue;
      sums.significant.row(begin + b) += effects.row(b);
      At(sums.exceeding, begin + b) += 1;
    }
    const auto project = [&](std::span<const float> direction, Matrix& along) {
      const RowVector unit =
          Eigen::Map<const Eigen::RowVectorXf>(direction.data(), std::ssize(direction))
              .cast<double>();
      const Vector amount = effects * unit.transpose();
      along.middleRows(begin, count) += amount * unit;
    };
    project(directions_.top.row(n), sums.along.front());
    for (std::size_t r = 0; r < replacements_.size(); ++r) {
      project(replacements_[r].directions.row(n), sums.along[1 + r]);
    }
  }

  const NeuronPaths& paths_;
  const NeuronDirections& directions_;
  std::span<const NeuronReplacement> replacements_;
  int threads_;
};

// Figures of some pictures [B, figures]: for each representation whether its best class is the
// label and the label's score, then the share of neurons that are significant.
std::vector<double> FiguresOf(const EffectSums& effects, ArrayView<const float, 2> embeddings,
                              ArrayView<const float, 2> classifier, std::span<const Index> labels,
                              Index neurons) {
  const Matrix whole = AsEigen(embeddings).cast<double>();
  const Matrix without = whole - effects.all;
  std::vector<Matrix> representations = {whole, without, whole - effects.significant,
                                         without + effects.significant};
  for (const Matrix& along : effects.along) representations.push_back(without + along);
  const auto figures = 2 * std::ssize(representations) + 1;
  std::vector<double> values(labels.size() * ToSize(figures), 0);
  for (std::size_t r = 0; r < representations.size(); ++r) {
    const Matrix scores = nn::Product(nn::Of(representations[r]), nn::Of(classifier).Transposed());
    for (Index b = 0; b < std::ssize(labels); ++b) {
      const Index label = At(labels, b);
      if (label < 0) continue;
      double* out = values.data() + b * figures + 2 * static_cast<Index>(r);
      out[0] = BestClass(scores, b) == label ? 1 : 0;
      out[1] = scores(b, label);
    }
  }
  for (Index b = 0; b < std::ssize(labels); ++b) {
    At(values, (b + 1) * figures - 1) = At(effects.exceeding, b) / static_cast<double>(neurons);
  }
  return values;
}

void CheckAblation(const NeuronStore& store, const NeuronStore& directions, Index layer,
                   ArrayView<const float, 2> classifier, std::span<const Index> labels,
                   std::span<const NeuronReplacement> replacements) {
  if (store.info().fingerprint != directions.info().fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} is of model {} ({}), {} of {} ({}); directions must be of the same model",
                store.directory().string(), store.info().model_name, store.info().fingerprint,
                directions.directory().string(), directions.info().model_name,
                directions.info().fingerprint);
  }
  store.RequireFactors();
  const NeuronPaths& paths = store.paths(layer);
  const NeuronPaths& others = directions.paths(layer);
  if (store.info().neurons->text != directions.info().neurons->text ||
      others.neurons() != paths.neurons() || others.channels() != paths.channels() ||
      others.embed_width() != paths.embed_width()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} has {} neurons of layer {} of the {} tower, {} has {} of the {} tower; "
                "directions must be of the same neurons",
                store.directory().string(), paths.neurons(), layer,
                store.info().neurons->text ? "text" : "image", directions.directory().string(),
                others.neurons(), directions.info().neurons->text ? "text" : "image");
  }
  CheckLabelsOf("neurons", store.pictures(), labels, classifier.dim(0));
  if (classifier.dim(1) != paths.embed_width()) {
    throw Error(ErrorCode::kInvalidArgument, "neurons: a classifier of width {}, embeddings of {}",
                classifier.dim(1), paths.embed_width());
  }
  for (const NeuronReplacement& r : replacements) {
    if (r.directions.shape() != Shape<2>{paths.neurons(), paths.embed_width()}) {
      throw Error(ErrorCode::kInvalidArgument, "neurons: '{}' has shape {}, [{}, {}] was expected",
                  r.name, ShapeText(r.directions.shape()), paths.neurons(), paths.embed_width());
    }
  }
}

}  // namespace

NeuronAblation AblateNeurons(const NeuronStore& store, const NeuronStore& directions, Index layer,
                             ArrayView<const float, 2> classifier, std::span<const Index> labels,
                             std::span<const NeuronReplacement> replacements,
                             const NeuronAblationOptions& options) {
  CheckAblation(store, directions, layer, classifier, labels, replacements);
  const NeuronPaths& paths = store.paths(layer);
  const EffectSummation summation(paths, directions.directions(layer), replacements,
                                  options.threads);
  const Index rows = kFixedRows + std::ssize(replacements);
  const Index figures = 2 * rows + 1;
  const Bootstrap bootstrap;
  BlockSums sums(figures, bootstrap.blocks());
  ProgressCount progress(options.progress, store.pictures());
  const std::vector<Item> items = store.ReadItems();
  Index first = 0;  // picture of the shards
  for (Index begin = 0; begin < store.num_shards();) {
    Index end = begin;
    Index count = 0;
    while (end < store.num_shards() &&
           (end == begin || count + store.ShardPictures(end) <= kPicturesAtATime)) {
      count += store.ShardPictures(end++);
    }
    const std::span<const Index> of_shards = labels.subspan(ToSize(first), ToSize(count));
    const std::vector<double> values =
        FiguresOf(summation.Sum(store.FactorsOf(layer, begin, end)),
                  store.ReadEmbeddings(begin, end), classifier, of_shards, paths.neurons());
    for (Index b = 0; b < count; ++b) {
      if (At(of_shards, b) < 0) continue;
      sums.Add(At(items, first + b).path,
               std::span(values).subspan(ToSize(b * figures), ToSize(figures)));
    }
    first += count;
    begin = end;
    progress.Add(count);
  }
  NeuronAblation result{.layer = layer, .images = sums.pictures(), .rows = {}, .significant = {}};
  const auto ratio = [&](Index figure) {
    return bootstrap.Ratio(sums.sum(figure), sums.counted());
  };
  std::vector<std::string> names = {"base", "neurons", "significant", "insignificant", "direction"};
  for (const NeuronReplacement& r : replacements) names.push_back(r.name);
  for (Index r = 0; r < rows; ++r) {
    result.rows.push_back({At(names, r), ratio(2 * r), ratio(2 * r + 1)});
  }
  result.significant = ratio(2 * rows);
  return result;
}

}  // namespace cliplens
