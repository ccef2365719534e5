#include "cliplens/analysis/zero_shot.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "cliplens/base/error.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/image.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

Array<float, 2> MakeClassifier(const ClipModel& model, std::span<const std::string> names,
                               std::span<const std::string> templates, bool truncate, int threads,
                               const ProgressSink& progress) {
  if (names.empty() || templates.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "a classifier of {} classes and {} templates",
                names.size(), templates.size());
  }
  std::vector<std::string> texts;
  texts.reserve(names.size() * templates.size());
  for (const std::string& name : names) {
    for (const std::string& pattern : templates) texts.push_back(FillTemplate(pattern, name));
  }
  const Array<float, 2> rows = model.EmbedTexts(texts, truncate, threads, progress);
  const auto classes = static_cast<Index>(names.size());
  const auto each = static_cast<Index>(templates.size());
  const Index width = rows.dim(1);
  Array<float, 2> classifier({classes, width});
  for (Index c = 0; c < classes; ++c) {
    Vector mean = Vector::Zero(width);
    for (Index t = 0; t < each; ++t) {
      const std::span<const float> row = rows.row(c * each + t);
      for (Index k = 0; k < width; ++k) mean[k] += row[static_cast<std::size_t>(k)];
    }
    mean.normalize();
    for (Index k = 0; k < width; ++k) classifier(c, k) = static_cast<float>(mean[k]);
  }
  return classifier;
}

std::vector<ClassScore> TopClasses(std::span<const float> embedding,
                                   ArrayView<const float, 2> classifier, double logit_scale,
                                   Index count) {
  const Index classes = classifier.dim(0);
  if (static_cast<Index>(embedding.size()) != classifier.dim(1)) {
    throw Error(ErrorCode::kInvalidArgument, "an embedding of {} numbers, a classifier of {}",
                embedding.size(), classifier.dim(1));
  }
  std::vector<double> similarity(static_cast<std::size_t>(classes));
  for (Index c = 0; c < classes; ++c) {
    const std::span<const float> row = classifier.row(c);
    similarity[static_cast<std::size_t>(c)] =
        std::inner_product(row.begin(), row.end(), embedding.begin(), 0.0, std::plus<>(),
                           [](float a, float b) { return double{a} * b; });
  }
  std::vector<Index> order(similarity.size());
  std::iota(order.begin(), order.end(), Index{0});
  const auto better = [&](Index a, Index b) {
    const double sa = similarity[static_cast<std::size_t>(a)];
    const double sb = similarity[static_cast<std::size_t>(b)];
    return sa != sb ? sa > sb : a < b;
  };
  const auto take = static_cast<std::ptrdiff_t>(std::min(count, classes));
  std::partial_sort(order.begin(), order.begin() + take, order.end(), better);
  if (take == 0) return {};
  const double top = similarity[static_cast<std::size_t>(order[0])];
  double sum = 0;
  for (double s : similarity) sum += std::exp(logit_scale * (s - top));
  std::vector<ClassScore> result;
  for (std::ptrdiff_t i = 0; i < take; ++i) {
    const Index c = order[static_cast<std::size_t>(i)];
    const double s = similarity[static_cast<std::size_t>(c)];
    result.push_back({c, s, std::exp(logit_scale * (s - top)) / sum});
  }
  return result;
}

Array<float, 2> EmbedImages(const ClipModel& model, const ImageSet& set, int threads,
                            const ProgressSink& progress) {
  Array<float, 2> rows({set.size(), model.config().embed_width});
  Passes passes(model, threads);
  std::mutex mutex;
  Index done = 0;
  passes.ForImages(set.size(), [&](Index begin, Index end, Workspace& workspace) {
    std::vector<Array<float, 3>> pixels;
    for (Index i = begin; i < end; ++i) {
      pixels.push_back(
          Preprocess(DecodeImage(set.Read(i), set.item(i).path), model.config().preprocess));
    }
    model.EmbedImages(pixels, rows.rows(begin, end), workspace);
    if (progress) {
      const std::lock_guard lock(mutex);
      done += end - begin;
      progress(done, set.size());
    }
  });
  return rows;
}

}  // namespace cliplens
