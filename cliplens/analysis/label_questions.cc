#include "cliplens/analysis/label_questions.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "cliplens/analysis/random_texts.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kPictureHalves = 8;  // draws of half of the slices
constexpr Index kTextHalves = 4;     // draws of half of each property's texts, two and their rests
constexpr Index kTurns = 4;          // of all texts, as a control
constexpr double kScoreRounding = 1e-12;  // variance of a score below is rounding of fp32
constexpr double kLeastAlignment = 0.05;  // below, texts and pictures have nothing in common
constexpr Index kAnsweredTogether = 256;  // pictures

// The embeddings [B, E] of the chosen pictures, with what is known of them together.
struct Embeddings {
  Array<float, 2> rows;
  RowVector mean;     // [E]
  Matrix covariance;  // [E, E], times B
};

Embeddings About(Array<float, 2> rows) {
  Embeddings e{std::move(rows), {}, {}};
  Matrix centred = AsEigen(e.rows.view()).cast<double>();
  e.mean = centred.colwise().mean();
  centred.rowwise() -= e.mean;
  e.covariance = nn::Product(nn::Of(centred).Transposed(), nn::Of(centred));
  return e;
}

// The rows of a question about their mean [m, E].
Matrix CentredTexts(ArrayView<const float, 2> texts, const std::vector<Index>& rows) {
  Matrix centred(std::ssize(rows), texts.dim(1));
  for (Index t = 0; t < centred.rows(); ++t) {
    centred.row(t) = AsEigen(texts).row(At(rows, t)).cast<double>();
  }
  centred.rowwise() -= centred.colwise().mean().eval();
  return centred;
}

// Mean and 1 / standard deviation over the pictures of the centred texts' scores.
struct ScoreScale {
  Vector mean, inverse;  // [m]; an inverse of 0 where the score does not vary
};
ScoreScale ScaleOfScores(const Embeddings& e, const Matrix& centred) {
  ScoreScale scale{centred * e.mean.transpose(), Vector::Zero(centred.rows())};
  const Matrix along = nn::Product(nn::Of(centred), nn::Of(e.covariance));
  const auto images = static_cast<double>(e.rows.dim(0));
  for (Index t = 0; t < centred.rows(); ++t) {
    const double variance = along.row(t).dot(centred.row(t)) / images;
    const double rounding = kScoreRounding * centred.row(t).squaredNorm();
    if (variance > rounding) scale.inverse[t] = 1 / std::sqrt(variance);
  }
  return scale;
}

// Answers of all pictures to the questions about the texts [M, E].
void Answer(const Embeddings& e, ArrayView<const float, 2> texts,
            const std::vector<Question*>& questions, int threads) {
  const Index images = e.rows.dim(0);
  std::vector<ScoreScale> scales(questions.size());
  ParallelFor(threads, std::ssize(questions), [&](Index i, int) {
    Question& q = *At(questions, i);
    q.answers.groups = std::ssize(q.rows);
    q.answers.group_of.resize(ToSize(images));
    if (q.with_peak) At(scales, i) = ScaleOfScores(e, CentredTexts(texts, q.rows));
  });
  const Index tasks = (images + kAnsweredTogether - 1) / kAnsweredTogether;
  std::vector<Matrix> peaks(questions.size(), Matrix::Zero(tasks, 1));
  std::vector<Matrix> buffers(ToSize(ResolveThreads(threads)));  // of each worker
  ParallelFor(threads, tasks, [&](Index task, int worker) {
    const Index begin = task * kAnsweredTogether;
    const Index end = std::min(images, begin + kAnsweredTogether);
    Matrix& scores = At(buffers, worker);
    scores.setZero(end - begin, texts.dim(0));
    nn::AddProduct(nn::Of(e.rows.rows(begin, end)), nn::Of(texts).Transposed(), scores);
    for (std::size_t i = 0; i < questions.size(); ++i) {
      Question& q = *questions[i];
      for (Index b = begin; b < end; ++b) {
        const auto score = [&](std::size_t g) { return scores(b - begin, q.rows[g]); };
        std::size_t best = 0;
        double mean = 0;
        for (std::size_t g = 0; g < q.rows.size(); ++g) {
          if (score(g) > score(best)) best = g;
          mean += score(g);
        }
        mean /= static_cast<double>(q.rows.size());
        At(q.answers.group_of, b) = static_cast<std::int32_t>(best);
        if (!q.with_peak) continue;
        double peak = -std::numeric_limits<double>::infinity();
        for (std::size_t g = 0; g < q.rows.size(); ++g) {
          const auto t = static_cast<Index>(g);
          peak = std::max(peak, (score(g) - mean - scales[i].mean[t]) * scales[i].inverse[t]);
        }
        peaks[i](task, 0) += peak;
      }
    }
  });
  for (std::size_t i = 0; i < questions.size(); ++i) {
    questions[i]->peak = peaks[i].sum() / static_cast<double>(std::max<Index>(images, 1));
  }
}

// A random half of `all`, in order; all of fewer than four. `rest` receives the others.
std::vector<Index> Half(const std::vector<Index>& all, std::mt19937_64& engine,
                        std::vector<Index>* rest) {
  if (all.size() < 4) {
    *rest = all;
    return all;
  }
  std::vector<Index> order = all;
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[engine() % (i + 1)]);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  rest->assign(middle, order.end());
  return {order.begin(), middle};
}

// Chooses the pictures and returns their embeddings [B, E].
Array<float, 2> ChoosePictures(const Store& store, const LabelOptions& options,
                               AskedPictures& pictures) {
  const Index images = store.info().images;
  const Index step = StrideFor(images, options.most_images);
  for (Index b = 0; b < images; b += step) pictures.index.push_back(b);
  for (const Item& item : store.ReadItems(pictures.index)) {
    pictures.slice.push_back(static_cast<std::int32_t>(SliceOf(item.path, kLabelSlices)));
  }
  return store.ReadEmbeddings(pictures.index);
}

void DrawSliceHalves(std::mt19937_64& engine, AskedPictures& pictures) {
  for (Index d = 0; d < kPictureHalves; d += 2) {
    std::vector<Index> slices(kLabelSlices);
    std::iota(slices.begin(), slices.end(), Index{0});
    std::vector<Index> rest;
    std::vector<bool> in(kLabelSlices, false);
    for (const Index s : Half(slices, engine, &rest)) At(in, s) = true;
    pictures.halves.push_back(in);
    in.flip();
    pictures.halves.push_back(std::move(in));
  }
}

void DrawTextHalves(const PropertyTable& table, std::mt19937_64& engine, AskedPictures& pictures) {
  for (Index d = 0; d < kTextHalves; d += 2) {
    std::vector<Question> halves, rests;
    for (const std::vector<Index>& rows : table.texts) {
      std::vector<Index> rest;
      halves.push_back({.rows = Half(rows, engine, &rest), .with_peak = false});
      rests.push_back({.rows = std::move(rest), .with_peak = false});
    }
    pictures.text_halves.push_back(std::move(halves));
    pictures.text_halves.push_back(std::move(rests));
  }
}

// Asks the same with the texts turned at random, one turn after the other.
void AskTurned(const Embeddings& e, ArrayView<const float, 2> texts, const LabelOptions& options,
               AskedPictures& pictures) {
  for (Index d = 0; d < kTurns; ++d) {
    std::vector<Question>& turned = pictures.turned.emplace_back();
    std::vector<Question*> questions;
    turned.reserve(pictures.properties.size());
    questions.reserve(pictures.properties.size());
    for (const Question& question : pictures.properties) turned.push_back({.rows = question.rows});
    for (Question& question : turned) questions.push_back(&question);
    Answer(e, TurnedTexts(texts, options.seed + static_cast<std::uint64_t>(d)), questions,
           options.threads);
  }
}

// The mean of the better half.
double BetterHalf(std::vector<double> values) {
  std::ranges::sort(values, std::greater<>());
  values.resize((values.size() + 1) / 2);
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  return mean;
}

// Sets the evidence that the texts of each property describe the pictures.
void PutTextEvidence(const Embeddings& e, ArrayView<const float, 2> texts,
                     AskedPictures& pictures) {
  std::vector<double> alignments, peaks;
  for (std::size_t p = 0; p < pictures.properties.size(); ++p) {
    const Question& question = pictures.properties[p];
    Matrix centred = CentredTexts(texts, question.rows);
    for (Index t = 0; t < centred.rows(); ++t) {
      const double length = centred.row(t).norm();
      if (length > 0) centred.row(t) /= length;
    }
    TextEvidence evidence;
    evidence.alignment = AlignmentOf(centred, e.covariance, texts.dim(1));
    evidence.peak = question.peak;
    for (const std::vector<Question>& turned : pictures.turned) {
      evidence.peak -= turned[p].peak / kTurns;
    }
    alignments.push_back(std::log(std::max(evidence.alignment, kLeastAlignment)));
    peaks.push_back(evidence.peak);
    pictures.evidence.push_back(evidence);
    pictures.centred.push_back(std::move(centred));
  }
  pictures.table_alignment = BetterHalf(std::move(alignments));
  pictures.table_peak = BetterHalf(std::move(peaks));
}

}  // namespace

AskedPictures AskAll(const Store& store, const PropertyTable& table,
                     ArrayView<const float, 2> texts, const LabelOptions& options) {
  AskedPictures pictures;
  const Embeddings embeddings = About(ChoosePictures(store, options, pictures));
  std::mt19937_64 engine(options.seed);
  DrawSliceHalves(engine, pictures);
  for (const std::vector<Index>& rows : table.texts) pictures.properties.push_back({rows, {}});
  DrawTextHalves(table, engine, pictures);
  std::vector<Question*> questions;
  for (Question& question : pictures.properties) questions.push_back(&question);
  for (std::vector<Question>& half : pictures.text_halves) {
    for (Question& question : half) questions.push_back(&question);
  }
  Answer(embeddings, texts, questions, options.threads);
  AskTurned(embeddings, texts, options, pictures);
  PutTextEvidence(embeddings, texts, pictures);
  return pictures;
}

}  // namespace cliplens
