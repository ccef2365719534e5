#include "cliplens/analysis/zero_shot.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/picture_loop.h"

namespace cliplens {
namespace {

constexpr double kLeastMean = 1e-5;  // of unit rows: a shorter one is their rounding

}  // namespace

Array<float, 2> MakeClassifier(const RowModel& model, std::span<const std::string> names,
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
      for (Index k = 0; k < width; ++k) mean[k] += At(row, k);
    }
    if (!(mean.norm() > kLeastMean * static_cast<double>(each))) {
      throw Error(ErrorCode::kUnsupported,
                  "class '{}': the embeddings of its {} prompts cancel out, so the class has no "
                  "direction; use other templates",
                  Printable(At(names, c)), each);
    }
    mean.normalize();
    for (Index k = 0; k < width; ++k) classifier(c, k) = static_cast<float>(mean[k]);
  }
  return classifier;
}

Index Classifier::Find(const std::string& class_name) const {
  const auto found = std::ranges::find(names, class_name);
  if (found != names.end()) return found - names.begin();
  throw Error(ErrorCode::kNotFound, "{}: there is no class '{}' among its {}; its first is '{}'",
              name, Printable(class_name), names.size(), names.front());
}

std::string Classifier::MeanName() const {
  return fmt::format("the mean of {} classes", names.size());
}

Array<float, 2> Classifier::Mean() const {
  Array<float, 2> mean({1, rows.dim(1)});
  for (Index e = 0; e < rows.dim(1); ++e) {
    double sum = 0;
    for (Index c = 0; c < rows.dim(0); ++c) sum += rows(c, e);
    mean(0, e) = static_cast<float>(sum / static_cast<double>(rows.dim(0)));
  }
  return mean;
}

Classifier CachedClassifier(const RowModel& model, const ClassFile& classes,
                            std::vector<std::string> templates, const CachedTextsOptions& options) {
  std::vector<std::string> texts = classes.names;
  texts.emplace_back();  // between names and templates
  texts.insert(texts.end(), templates.begin(), templates.end());
  Array<float, 2> rows =
      CachedRows({"classes", model.fingerprint, model.precision, texts}, std::ssize(classes.names),
                 options, [&] {
                   return MakeClassifier(model, classes.names, templates, options.truncate,
                                         options.threads, options.progress);
                 });
  return {classes.name, classes.names, std::move(templates), std::move(rows), options.truncate};
}

Array<float, 2> EmbedWords(const ClipModel& model, const std::vector<std::string>& texts,
                           int threads, bool truncate) {
  if (model.text_rows() != nullptr) return model.EmbedTexts(texts, truncate, threads);
  const std::vector<Tokens> tokens = model.TokenizeTexts(texts, truncate, threads);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].words > 0) continue;
    throw Error(ErrorCode::kInvalidArgument, "text '{}' has no word in it; write one",
                Printable(texts[i]));
  }
  return model.EmbedTexts(texts, truncate, threads);
}

std::vector<ClassScore> TopClasses(std::span<const float> embedding,
                                   ArrayView<const float, 2> classifier, const LogitRule& logits,
                                   Index count) {
  const Index classes = classifier.dim(0);
  if (static_cast<Index>(embedding.size()) != classifier.dim(1)) {
    throw Error(ErrorCode::kInvalidArgument, "an embedding of {} numbers, a classifier of {}",
                embedding.size(), classifier.dim(1));
  }
  std::vector<double> similarity(ToSize(classes));
  for (Index c = 0; c < classes; ++c) {
    const std::span<const float> row = classifier.row(c);
    At(similarity, c) =
        std::inner_product(row.begin(), row.end(), embedding.begin(), 0.0, std::plus<>(),
                           [](float a, float b) { return double{a} * b; });
  }
  std::vector<Index> order(similarity.size());
  std::iota(order.begin(), order.end(), Index{0});
  const auto better = [&](Index a, Index b) {
    const double sa = At(similarity, a);
    const double sb = At(similarity, b);
    return sa != sb ? sa > sb : a < b;
  };
  const auto take = static_cast<std::ptrdiff_t>(std::min(count, classes));
  std::partial_sort(order.begin(), order.begin() + take, order.end(), better);
  if (take == 0) return {};
  const double top = At(similarity, order[0]);
  double sum = 0;
  for (double s : similarity) sum += std::exp(logits.scale * (s - top));
  std::vector<ClassScore> result;
  for (std::ptrdiff_t i = 0; i < take; ++i) {
    const Index c = At(order, i);
    const double s = At(similarity, c);
    const double probability = logits.bias ? 1 / (1 + std::exp(-(logits.scale * s + *logits.bias)))
                                           : std::exp(logits.scale * (s - top)) / sum;
    result.push_back({c, s, probability});
  }
  return result;
}

EmbeddedImages EmbedReadableImages(const ClipModel& model, const ImageSet& set, OnError on_error,
                                   int threads, const ProgressSink& progress,
                                   const EmbedEdit& edit) {
  EmbeddedImages result;
  Array<float, 2> rows({set.size(), model.config().embed_width});
  std::vector<char> read(ToSize(set.size()), 0);
  PictureErrors errors(on_error);
  ProgressCount count(progress, set.size());
  PictureLoopOptions options{.threads = threads};
  if (edit.edit != nullptr) options.captures = edit.edit->captures();
  PictureLoop(model, set, options)
      .Run(0, set.size(), errors, count, [&](const PictureBatch& batch) {
        ModelEdit::Scratch scratch;
        for (Index k = 0; k < batch.size(); ++k) {
          const Index i = At(batch.index, k);
          const std::span<float> row = rows.row(i);
          std::ranges::copy(batch.embeddings.row(k), row.data());
          At(read, i) = 1;
          if (edit.edit == nullptr) continue;
          edit.edit->Apply(At(batch.captures, k), row, scratch);
          if (!edit.normalize) continue;
          try {
            NormalizeRow(row);
          } catch (const Error& error) {
            throw Error(error.code(), "{}: {}", Printable(set.path(i)), error.what());
          }
        }
      });
  errors.CheckNotAll(set.size(), set.root());
  result.skipped = errors.skipped();
  result.incomplete = errors.incomplete();
  result.oriented = errors.oriented();
  for (Index i = 0; i < set.size(); ++i) {
    if (At(read, i) != 0) result.index.push_back(i);
  }
  if (result.skipped.empty()) {
    result.rows = std::move(rows);
    return result;
  }
  result.rows = Array<float, 2>({static_cast<Index>(result.index.size()), rows.dim(1)});
  for (Index b = 0; b < result.rows.dim(0); ++b) {
    std::ranges::copy(rows.row(At(result.index, b)), result.rows.row(b).data());
  }
  return result;
}

Array<float, 2> EmbedImages(const ClipModel& model, const ImageSet& set, int threads,
                            const ProgressSink& progress) {
  return EmbedReadableImages(model, set, OnError::kStop, threads, progress).rows;
}

}  // namespace cliplens
