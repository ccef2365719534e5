#include "cliplens/analysis/cue.h"

#include <algorithm>
#include <cmath>

#include "cliplens/analysis/component_scores.h"
#include "cliplens/analysis/scored_labels.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kCueChunk = 64;  // pictures a task
constexpr Index kMostCells = 4096;
constexpr double kTolerance = 1e-10;  // eigenvalues below this share of the largest are rounding

// F [r, E] with ⟨F x, F y⟩ = ⟨D x, D y⟩ for the classifier's rows less their mean, D [C, E]: the
// logits' geometry in as few numbers as it has.
Matrix LogitDirections(const Matrix& classifier) {
  const Matrix centred = classifier.rowwise() - classifier.colwise().mean();
  const Matrix gram = centred.rows() <= centred.cols() ? Matrix(centred * centred.transpose())
                                                       : Matrix(centred.transpose() * centred);
  const SymmetricEigen eigen = EigenOfSymmetric(gram);
  Index rank = 0;
  while (rank < eigen.values.size() && eigen.values[rank] > kTolerance * eigen.values[0]) ++rank;
  const Vector root = eigen.values.head(rank).cwiseSqrt();
  const Matrix vectors = eigen.vectors.leftCols(rank);
  if (centred.rows() > centred.cols()) return root.asDiagonal() * vectors.transpose();
  // D = V Λ^½ U^T, so Λ^½ U^T = V^T D.
  return vectors.transpose() * centred;
}

Array<float, 2> AsFloat(const Matrix& m) {
  Array<float, 2> out({m.rows(), m.cols()});
  AsEigen(out.view()) = m.cast<float>();
  return out;
}

// What a picture counts as.
struct Picture {
  Index cell = -1;  // class · groups + group; −1: does not count
  bool held_out = false;
  Index block = 0;  // of the bootstrap
};

// τ and the means about which it stands, from logits [n, r].
class CueModel {
 public:
  CueModel(const Matrix& logits, std::span<const Picture> pictures, Index classes, Index groups)
      : groups_(groups) {
    const Index cells = classes * groups;
    const Index width = logits.cols();
    tau_ = Matrix::Zero(cells, width);
    for (Matrix& mean : means_) mean = Matrix::Zero(classes, width);
    Matrix offset[2] = {Matrix::Zero(classes, width), Matrix::Zero(classes, width)};
    Vector in_cell = Vector::Zero(cells);
    Matrix in_class = Matrix::Zero(2, classes);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const Picture& p = pictures[i];
      if (p.cell < 0) continue;
      const auto row = static_cast<Index>(i);
      const int half = p.held_out ? 1 : 0;
      means_[half].row(p.cell / groups) += logits.row(row);
      in_class(half, p.cell / groups) += 1;
      if (p.held_out) continue;
      tau_.row(p.cell) += logits.row(row);
      in_cell[p.cell] += 1;
    }
    for (int half = 0; half < 2; ++half) {
      for (Index y = 0; y < classes; ++y) {
        if (in_class(half, y) > 0) means_[half].row(y) /= in_class(half, y);
      }
    }
    for (Index cell = 0; cell < cells; ++cell) {
      if (in_cell[cell] > 0) tau_.row(cell) /= in_cell[cell];
    }
    // About the mean of each half and class, so that constants of components do not count.
    for (const Picture& p : pictures) {
      if (p.cell >= 0) offset[p.held_out ? 1 : 0].row(p.cell / groups) += tau_.row(p.cell);
    }
    for (int half = 0; half < 2; ++half) {
      centred_[half] = tau_;
      for (Index y = 0; y < classes; ++y) {
        if (in_class(half, y) == 0) continue;
        centred_[half].middleRows(y * groups, groups).rowwise() -=
            offset[half].row(y) / in_class(half, y);
      }
    }
  }

  RowVector Tau(const Picture& p) const { return centred_[p.held_out ? 1 : 0].row(p.cell); }
  RowVector Centred(const Matrix& logits, Index row, const Picture& p) const {
    return logits.row(row) - means_[p.held_out ? 1 : 0].row(p.cell / groups_);
  }

 private:
  Index groups_;
  Matrix tau_;
  Matrix means_[2], centred_[2];
};

// 1 − Σ |s − τ|² / Σ |s|² on the half held out.
Estimate LeanOf(const Matrix& logits, std::span<const Picture> pictures, const CueModel& model,
                const Bootstrap& bootstrap) {
  std::vector<double> explained(ToSize(bootstrap.blocks()), 0.0);
  std::vector<double> all = explained;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Picture& p = pictures[i];
    if (p.cell < 0 || !p.held_out) continue;
    const RowVector s = model.Centred(logits, static_cast<Index>(i), p);
    const auto block = ToSize(p.block);
    explained[block] += s.squaredNorm() - (s - model.Tau(p)).squaredNorm();
    all[block] += s.squaredNorm();
  }
  return bootstrap.Ratio(explained, all);
}

// Σ of sums of components, each [blocks].
std::vector<double> Total(const std::vector<std::vector<double>>& sums) {
  std::vector<double> total(sums.front().size(), 0.0);
  for (const std::vector<double>& one : sums) {
    for (std::size_t b = 0; b < total.size(); ++b) total[b] += one[b];
  }
  return total;
}

double SurplusOf(double cue, double cue_all, double rest, double rest_all) {
  const double rest_share = rest_all > 0 ? rest / rest_all : 0.0;
  return cue_all > 0 ? cue / cue_all - std::max(rest_share, 0.0) : 0.0;
}

CueShares SharesOf(const std::vector<double>& cue, const std::vector<double>& cue_all,
                   const std::vector<double>& rest, const std::vector<double>& rest_all,
                   const Bootstrap& bootstrap) {
  const std::vector<double> columns[] = {cue, cue_all, rest, rest_all};
  return {bootstrap.Of(std::span(columns),
                       [](std::span<const double> s) { return s[1] > 0 ? s[0] / s[1] : 0.0; }),
          bootstrap.Of(std::span(columns),
                       [](std::span<const double> s) { return s[3] > 0 ? s[2] / s[3] : 0.0; }),
          bootstrap.Of(std::span(columns), [](std::span<const double> s) {
            return SurplusOf(s[0], s[1], s[2], s[3]);
          })};
}

std::vector<CueClass> ClassesOf(const Matrix& embeddings, ArrayView<const float, 2> classifier,
                                std::span<const Picture> pictures, Index groups,
                                const Bootstrap& bootstrap, int threads) {
  const Index classes = classifier.dim(0);
  const Matrix rows = AsEigen(classifier).cast<double>();
  const RowVector mean = rows.colwise().mean();
  const auto blocks = ToSize(bootstrap.blocks());
  const auto zero = [&] {
    return std::vector<std::vector<double>>(ToSize(classes * groups),
                                            std::vector<double>(blocks, 0.0));
  };
  std::vector<std::vector<double>> logit = zero();
  std::vector<std::vector<double>> answers = zero();
  std::vector<std::vector<double>> counted(ToSize(groups), std::vector<double>(blocks, 0.0));
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Picture& p = pictures[i];
    if (p.cell < 0 || !p.held_out) continue;
    const Index g = p.cell % groups;
    const auto block = ToSize(p.block);
    const RowVector e = embeddings.row(static_cast<Index>(i));
    const Matrix scores = (rows * e.transpose()).transpose();
    const double offset = mean.dot(e);
    At(counted, g)[block] += 1;
    for (Index c = 0; c < classes; ++c) {
      At(logit, c * groups + g)[block] += scores(0, c) - offset;
    }
    At(answers, BestClass(scores, 0) * groups + g)[block] += 1;
  }
  std::vector<CueClass> out(ToSize(classes));
  ParallelFor(threads, classes, [&](Index c, int) {
    CueClass& found = At(out, c);
    found.index = c;
    double low = 0;
    double high = 0;
    bool any = false;
    for (Index g = 0; g < groups; ++g) {
      const std::vector<double>& count = At(counted, g);
      const auto cell = ToSize(c * groups + g);
      found.logit.push_back(bootstrap.Ratio(logit[cell], count));
      found.answers.push_back(bootstrap.Ratio(answers[cell], count));
      if (std::ranges::all_of(count, [](double n) { return n == 0; })) continue;
      const double v = found.logit.back().value;
      low = any ? std::min(low, v) : v;
      high = any ? std::max(high, v) : v;
      any = true;
    }
    found.swing = high - low;
  });
  std::ranges::stable_sort(out, std::ranges::greater(), &CueClass::swing);
  return out;
}

void CheckCue(const Store& store, ArrayView<const float, 2> classifier, const Grouping& cue,
              std::span<const Index> classes) {
  const Index images = store.info().images;
  if (static_cast<Index>(cue.group_of.size()) != images ||
      (!classes.empty() && static_cast<Index>(classes.size()) != images)) {
    throw Error(ErrorCode::kInvalidArgument, "cue: {} groups and {} classes of {} pictures",
                cue.group_of.size(), classes.size(), images);
  }
  if (classifier.dim(1) != store.basis().embed_width() || classifier.dim(0) < 2) {
    throw Error(ErrorCode::kInvalidArgument,
                "cue: a classifier of shape [{}, {}] for an embedding of {}; two classes at least",
                classifier.dim(0), classifier.dim(1), store.basis().embed_width());
  }
  const Index num_classes = classes.empty() ? 1 : classifier.dim(0);
  if (cue.groups * num_classes > kMostCells) {
    throw Error(ErrorCode::kInvalidArgument, "cue: {} groups in each of {} classes, more than {}",
                cue.groups, num_classes, kMostCells);
  }
}

// Which pictures count, and as what: their cell of `cells`, their half, their block.
std::vector<Picture> ReadPictures(const Store& store, const Grouping& cue,
                                  std::span<const Index> classes, Index cells,
                                  const CueOptions& options) {
  const Bootstrap bootstrap;
  const Index images = store.info().images;
  const Index step = StrideFor(images, options.most_images);
  std::vector<Picture> pictures(ToSize(images));
  std::vector<bool> known(ToSize(cells), false);
  Index number = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    for (const Item& item : store.ReadItems(s)) {
      const auto i = ToSize(number);
      Picture& p = pictures[i];
      const Index y = classes.empty() ? 0 : classes[i];
      if (number % step == 0 && cue.group_of[i] >= 0 && y >= 0) {
        p.cell = y * cue.groups + cue.group_of[i];
        // Another hash than that of the bootstrap's blocks: with the same one the half would have
        // only half of the blocks.
        p.held_out = SliceOf("held out: " + item.path, 2) == 1;
        p.block = SliceOf(item.path, bootstrap.blocks());
        if (!p.held_out) At(known, p.cell) = true;
      }
      ++number;
    }
  }
  // A group that only the held-out half has was not measured.
  for (Picture& p : pictures) {
    if (p.cell >= 0 && !At(known, p.cell)) p.cell = -1;
  }
  return pictures;
}

// How many pictures count, in each group and in the half that is held out.
void CountPictures(std::span<const Picture> pictures, Index groups, CueResult& result) {
  result.group_images.assign(ToSize(groups), 0);
  std::vector<bool> held(ToSize(groups), false);
  for (const Picture& p : pictures) {
    if (p.cell < 0) continue;
    ++result.images;
    ++At(result.group_images, p.cell % groups);
    if (!p.held_out) continue;
    ++result.held_out;
    At(held, p.cell % groups) = true;
  }
  if (std::ranges::count(held, true) < 2) {
    throw Error(ErrorCode::kInvalidArgument,
                "cue: of {} groups {} have pictures in both halves of the {}; a cue needs two that "
                "have, so more pictures or other texts",
                groups, std::ranges::count(held, true), pictures.size());
  }
}

// ⟨s_c, τ⟩ and ⟨s_c, ρ⟩ of every component, summed over each half.
struct ComponentSums {
  using Blocks = std::vector<double>;
  std::vector<Blocks> cue, rest;  // of the half that is held out, by component
  Matrix first_half;              // [2, components]
};

ComponentSums SumComponents(const Store& store, const ComponentScores& scores, const Matrix& logits,
                            const CueModel& model, std::span<const Picture> pictures,
                            const CueOptions& options) {
  const Components parts = store.basis().components();
  const Index components = parts.size();
  const ComponentSums::Blocks zeros(ToSize(Bootstrap().blocks()));
  ComponentSums sums;
  sums.cue.assign(ToSize(components), zeros);
  sums.rest = sums.cue;
  sums.first_half = Matrix::Zero(2, components);
  Index first = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const FactorBlock block = store.ReadShard(s);
    const Index count = block.images();
    Matrix values = Matrix::Zero(count, 2 * components);
    ParallelFor(options.threads, (count + kCueChunk - 1) / kCueChunk, [&](Index task, int) {
      const Index begin = task * kCueChunk;
      const Index end = std::min(begin + kCueChunk, count);
      Matrix tau = Matrix::Zero(end - begin, logits.cols());
      Matrix rest = tau;
      for (Index b = begin; b < end; ++b) {
        const Picture& p = At(pictures, first + b);
        if (p.cell < 0) continue;
        tau.row(b - begin) = model.Tau(p);
        rest.row(b - begin) = model.Centred(logits, first + b, p) - tau.row(b - begin);
      }
      for (Index c = 0; c < components; ++c) {
        const Matrix part = scores.Component(c, block, begin, end);
        values.col(2 * c).segment(begin, end - begin) = part.cwiseProduct(tau).rowwise().sum();
        values.col(2 * c + 1).segment(begin, end - begin) = part.cwiseProduct(rest).rowwise().sum();
      }
    });
    for (Index b = 0; b < count; ++b) {
      const Picture& p = At(pictures, first + b);
      if (p.cell < 0) continue;
      for (Index c = 0; c < components; ++c) {
        if (p.held_out) {
          At(At(sums.cue, c), p.block) += values(b, 2 * c);
          At(At(sums.rest, c), p.block) += values(b, 2 * c + 1);
        } else {
          sums.first_half(0, c) += values(b, 2 * c);
          sums.first_half(1, c) += values(b, 2 * c + 1);
        }
      }
    }
    first += count;
    if (options.progress) options.progress(first, store.info().images);
  }
  return sums;
}

// Ranks heads by their surplus in the first half. Chooses the first ones whose surplus is above 0
// with confidence in the half that is held out.
void RankHeads(const Components& parts, ComponentSums sums, const CueOptions& options,
               CueResult& result) {
  const Bootstrap bootstrap;
  const Index num_heads = parts.num_heads();
  const std::vector<double> cue_all = Total(sums.cue);
  const std::vector<double> rest_all = Total(sums.rest);
  const Matrix& first_half = sums.first_half;
  for (Index c = 0; c < num_heads; ++c) {
    CueHead head;
    head.id = parts.HeadAt(c);
    head.surplus_first = SurplusOf(first_half(0, c), first_half.row(0).sum(), first_half(1, c),
                                   first_half.row(1).sum());
    result.heads.push_back(head);
  }
  ParallelFor(options.threads, num_heads, [&](Index c, int) {
    At(result.heads, c).shares =
        SharesOf(At(sums.cue, c), cue_all, At(sums.rest, c), rest_all, bootstrap);
  });
  std::ranges::stable_sort(result.heads, std::ranges::greater(), &CueHead::surplus_first);
  std::vector<ComponentSums::Blocks> cue = {ComponentSums::Blocks(ToSize(bootstrap.blocks()))};
  std::vector<ComponentSums::Blocks> rest = cue;
  for (CueHead& head : result.heads) {
    if (!(head.shares.surplus.low > 0)) break;
    head.chosen = true;
    cue.push_back(At(sums.cue, parts.NumberOf(head.id)));
    rest.push_back(At(sums.rest, parts.NumberOf(head.id)));
  }
  result.chosen = SharesOf(Total(cue), cue_all, Total(rest), rest_all, bootstrap);
  sums.cue.resize(ToSize(num_heads));
  sums.rest.resize(ToSize(num_heads));
  result.all_heads = SharesOf(Total(sums.cue), cue_all, Total(sums.rest), rest_all, bootstrap);
}

}  // namespace

std::vector<HeadId> CueResult::chosen_heads() const {
  std::vector<HeadId> ids;
  for (const CueHead& head : heads) {
    if (head.chosen) ids.push_back(head.id);
  }
  std::ranges::sort(ids);
  return ids;
}

Grouping AnswersTo(const Store& store, ArrayView<const float, 2> texts,
                   std::span<const Index> group_of_text, Index groups) {
  if (texts.dim(0) != static_cast<Index>(group_of_text.size()) || texts.dim(0) < 1 ||
      texts.dim(1) != store.basis().embed_width()) {
    throw Error(ErrorCode::kInvalidArgument,
                "cue: texts of shape [{}, {}] in {} groups for an embedding of {}", texts.dim(0),
                texts.dim(1), group_of_text.size(), store.basis().embed_width());
  }
  Grouping grouping;
  grouping.groups = groups;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const Array<float, 2> embeddings = store.ReadEmbeddings(s);
    const Matrix scores = nn::Product(nn::Of(embeddings.view()), nn::Of(texts).Transposed());
    for (Index b = 0; b < scores.rows(); ++b) {
      grouping.group_of.push_back(
          static_cast<std::int32_t>(At(group_of_text, BestClass(scores, b))));
    }
  }
  return grouping;
}

CueResult FindCue(const Store& store, ArrayView<const float, 2> classifier, const Grouping& cue,
                  std::span<const Index> classes, const CueOptions& options) {
  CheckCue(store, classifier, cue, classes);
  const Basis& basis = store.basis();
  const Index groups = cue.groups;
  const Index num_classes = classes.empty() ? 1 : classifier.dim(0);
  const std::vector<Picture> pictures =
      ReadPictures(store, cue, classes, groups * num_classes, options);
  CueResult result;
  CountPictures(pictures, groups, result);

  const Bootstrap bootstrap;
  const Matrix directions = LogitDirections(AsEigen(classifier).cast<double>());
  const ComponentScores scores(basis, AsFloat(directions), options.threads);
  const Matrix embeddings = AsEigen(store.ReadEmbeddings().view()).cast<double>();
  const Matrix logits = nn::Product(nn::Of(embeddings), nn::Of(directions).Transposed());
  const CueModel model(logits, pictures, num_classes, groups);
  result.lean = LeanOf(logits, pictures, model, bootstrap);
  result.classes = ClassesOf(embeddings, classifier, pictures, groups, bootstrap, options.threads);
  RankHeads(basis.components(), SumComponents(store, scores, logits, model, pictures, options),
            options, result);

  result.lean_edited = result.lean;
  const std::vector<HeadId> ids = result.chosen_heads();
  if (!ids.empty()) {
    const Edit edit = MakeMeanEdit(store.info(), basis, store.statistics(), ComponentsOf(ids));
    const Array<float, 2> rows = EditedRows(store, edit, /*normalize=*/false);
    const Matrix edited = nn::Product(nn::Of(rows.view()), nn::Of(directions).Transposed());
    result.lean_edited =
        LeanOf(edited, pictures, CueModel(edited, pictures, num_classes, groups), bootstrap);
  }
  return result;
}

}  // namespace cliplens
