#include "cliplens/analysis/sparse_words.h"

#include <algorithm>
#include <cmath>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// A text nearer to the mean than this is the mean: embeddings are fp32.
constexpr double kAtMean = 1e-5;
// A vector that is shorter than this share of what it was made of is rounding.
constexpr double kNoDirection = 1e-6;
// Cosines below this are rounding.
constexpr double kNoCosine = 1e-9;
// Penalties nearer than this are the same.
constexpr double kTiedGain = 1e-12;
// An atom whose squared distance from the span of others is below this lies in it.
constexpr double kInSpan = 1e-10;
// Steps of a path for each text that is wanted. Paths have hardly more than one.
constexpr Index kMostSteps = 100;
// Directions that the pursuit takes at a time: memory is 2 · kDirectionsATask · M numbers.
constexpr Index kDirectionsATask = 64;

void Check(const TextAtoms& atoms, Index width, Index count) {
  if (width != atoms.columns.rows() || count < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "sparse words: a direction of width {} and texts of width {}; count {}, at least 1",
                width, atoms.columns.rows(), count);
  }
}

// The sum of `rows` [n, E] that is nearest to the direction, with non-negative weights.
SparseWords FitWeights(const Vector& direction, const std::vector<Index>& index,
                       const Matrix& rows) {
  SparseWords result;
  const Vector cosines = rows * direction;
  const Vector weights = NonNegativeLeastSquares(rows * rows.transpose(), cosines);
  for (Index i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) result.words.push_back({At(index, i), weights[i], cosines[i]});
  }
  std::ranges::sort(result.words, [](const SparseWord& a, const SparseWord& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.index < b.index;
  });
  if (result.words.empty()) return result;
  const Vector sum = rows.transpose() * weights;
  result.cosine = sum.dot(direction) / (sum.norm() * direction.norm());
  return result;
}

// The positive lasso at one penalty of its path.
class LassoPath {
 public:
  LassoPath(const TextAtoms& atoms, const Vector& direction)
      : atoms_(atoms),
        direction_(direction),
        chosen_(0, direction.size()),
        passed_over_(ToSize(atoms.size())) {
    Vector(nn::Product(Row(direction), nn::Of(atoms.columns)).row(0)).maxCoeff(&first_);
    penalty_ = atoms.columns.col(first_).dot(direction);
  }

  // Follows the path to where a text beyond `count` would join, or to its end.
  void Follow(Index count) {
    if (penalty_ <= kNoCosine) return;
    Join(first_);
    // Every point of the path is a solution, so one may stop anywhere.
    for (Index step = 0; step < kMostSteps * (count + 1); ++step) {
      const Event event = Next();
      penalty_ -= event.length;
      weights_ += event.length * slope_;
      if (event.length > kTiedGain) held_back_.clear();
      if (event.kind == Event::kEnd) {
        penalty_ = 0;
        return;
      }
      if (event.kind == Event::kLeave) {
        Leave(event.at);
      } else {
        if (std::ssize(active_) == count && IsFree(event.at)) return;
        Join(event.at);
      }
    }
  }

  const std::vector<Index>& active() const { return active_; }
  const Matrix& chosen() const { return chosen_; }
  double penalty() const { return penalty_; }

 private:
  struct Event {
    enum Kind { kEnd, kLeave, kJoin } kind = kEnd;
    Index at = 0;       // a place in active_, or a text
    double length = 0;  // of the step, in the penalty
  };

  static nn::Operand<double> Row(const Vector& v) { return {v.data(), 1, v.size(), v.size(), 1}; }

  // Whether the atom lies outside the span of the active ones.
  bool IsFree(Index j) const {
    if (active_.empty()) return true;
    const Vector atom = atoms_.columns.col(j);
    const Vector along = gram_.ldlt().solve(chosen_ * atom);
    return (atom - chosen_.transpose() * along).squaredNorm() > kInSpan;
  }

  void Join(Index j) {
    if (!IsFree(j)) {
      At(passed_over_, j) = true;
      return;
    }
    active_.push_back(j);
    chosen_.conservativeResize(chosen_.rows() + 1, Eigen::NoChange);
    chosen_.bottomRows(1) = atoms_.columns.col(j).transpose();
    weights_.conservativeResize(weights_.size() + 1);
    weights_[weights_.size() - 1] = 0;
    gram_ = chosen_ * chosen_.transpose();
  }

  void Leave(Index place) {
    held_back_.push_back(At(active_, place));
    active_.erase(active_.begin() + place);
    std::vector<Index> kept;
    for (Index i = 0; i < weights_.size(); ++i) {
      if (i != place) kept.push_back(i);
    }
    chosen_ = chosen_(kept, Eigen::all).eval();
    weights_ = weights_(kept).eval();
    gram_ = chosen_ * chosen_.transpose();
    // Texts that depended on it may no longer depend on the others.
    std::fill(passed_over_.begin(), passed_over_.end(), false);
  }

  // The first of: a weight reaches 0, a text's cosine with the rest reaches the penalty, the
  // penalty reaches 0. Cosines of the active texts fall by 1 for each unit of the penalty.
  Event Next() {
    slope_ = gram_.ldlt().solve(Vector::Ones(weights_.size()));
    Event event{.kind = Event::kEnd, .at = 0, .length = penalty_};
    for (Index i = 0; i < weights_.size(); ++i) {
      if (slope_[i] >= 0) continue;
      const double length = std::max(-weights_[i] / slope_[i], 0.0);
      if (length < event.length - kTiedGain) event = {Event::kLeave, i, length};
    }
    Matrix rows(2, direction_.size());
    rows.row(0) = (direction_ - chosen_.transpose() * weights_).transpose();
    rows.row(1) = (chosen_.transpose() * slope_).transpose();
    const Matrix cosines = nn::Product(nn::Of(rows), nn::Of(atoms_.columns));  // [2, M]
    for (Index j = 0; j < atoms_.size(); ++j) {
      const double gain = 1 - cosines(1, j);
      if (gain <= kTiedGain || At(passed_over_, j) || Contains(active_, j) ||
          Contains(held_back_, j)) {
        continue;
      }
      const double length = std::max((penalty_ - cosines(0, j)) / gain, 0.0);
      if (length < event.length - kTiedGain) event = {Event::kJoin, j, length};
    }
    return event;
  }

  static bool Contains(const std::vector<Index>& numbers, Index j) {
    return std::ranges::find(numbers, j) != numbers.end();
  }

  const TextAtoms& atoms_;
  const Vector& direction_;
  Index first_ = 0;
  double penalty_ = 0;
  std::vector<Index> active_;
  Matrix chosen_, gram_;  // rows of the active atoms [n, E] and their products
  Vector weights_, slope_;
  std::vector<bool> passed_over_;  // texts in the span of the active ones
  std::vector<Index> held_back_;   // texts that left at this penalty
};

// One direction of the pursuit.
struct Pursuit {
  Vector direction;
  std::vector<Index> picked;
  Matrix rows;  // [picked, E]
  Vector rest;
  SparseWords words;

  void Pick(const TextAtoms& atoms, Index j) {
    picked.push_back(j);
    rows.conservativeResize(std::ssize(picked), direction.size());
    rows.bottomRows(1) = atoms.columns.col(j).transpose();
    words = FitWeights(direction, picked, rows);
    rest = direction;
    for (const SparseWord& word : words.words) rest -= word.weight * atoms.columns.col(word.index);
  }
};

// Each pursuit picks its next text, if there is one. Returns whether any did.
bool PickNext(const TextAtoms& atoms, double coherence, std::vector<Pursuit>& pursuits) {
  const Index n = std::ssize(pursuits);
  Matrix rows = Matrix::Zero(2 * n, atoms.columns.rows());
  for (Index i = 0; i < n; ++i) {
    const Pursuit& p = At(pursuits, i);
    rows.row(i) = p.rest.transpose();
    if (!p.picked.empty()) rows.row(n + i) = coherence * p.rows.colwise().mean();
  }
  const Matrix scores = nn::Product(nn::Of(rows), nn::Of(atoms.columns));  // [2n, M]
  bool any = false;
  for (Index i = 0; i < n; ++i) {
    Pursuit& p = At(pursuits, i);
    Index best = -1;
    double most = 0;
    for (Index j = 0; j < atoms.size(); ++j) {
      const double score = scores(i, j) + scores(n + i, j);
      if (scores(i, j) <= kNoCosine || (best >= 0 && score <= most + kTiedGain)) continue;
      if (std::ranges::find(p.picked, j) != p.picked.end()) continue;
      best = j;
      most = score;
    }
    if (best < 0) continue;
    p.Pick(atoms, best);
    any = true;
  }
  return any;
}

}  // namespace

Matrix AboutTheirMean(ArrayView<const float, 2> texts, RowVector* mean) {
  Matrix rows = AsEigen(texts).cast<double>();
  const RowVector of_rows = rows.colwise().mean();
  rows.rowwise() -= of_rows;
  if (mean != nullptr) *mean = of_rows;
  return rows;
}

Vector LengthsAboutMean(const Matrix& rows) {
  Vector lengths(rows.rows());
  bool any = false;
  for (Index j = 0; j < rows.rows(); ++j) {
    const double length = rows.row(j).norm();
    any = any || length > kAtMean;
    lengths[j] = length > kAtMean ? length : 0.0;
  }
  if (!any) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} text{} with one embedding: nothing is left of a text when their mean is "
                "subtracted; give a pool of different texts",
                rows.rows(), rows.rows() == 1 ? "" : "s");
  }
  return lengths;
}

void MakeUnit(Matrix& rows, const Vector& lengths) {
  for (Index j = 0; j < rows.rows(); ++j) rows.row(j) *= lengths[j] > 0 ? 1 / lengths[j] : 0.0;
}

TextAtoms AtomsOf(ArrayView<const float, 2> texts, bool without_mean_direction) {
  TextAtoms atoms;
  RowVector mean;
  Matrix rows = AboutTheirMean(texts, &mean);
  if (without_mean_direction && mean.norm() > kAtMean) {
    atoms.removed = mean.transpose().normalized();
    rows -= (rows * atoms.removed).eval() * atoms.removed.transpose();
  }
  MakeUnit(rows, LengthsAboutMean(rows));
  atoms.columns = rows.transpose();
  return atoms;
}

Vector DirectionOf(const Vector& vector, const TextAtoms& atoms, double scale, const char* what) {
  Vector rest = vector;
  if (atoms.removed.size() > 0) rest -= rest.dot(atoms.removed) * atoms.removed;
  const double length = rest.norm();
  if (!std::isfinite(length) || !(length > kNoDirection * scale)) {
    throw Error(ErrorCode::kPrecondition,
                "{} has no direction that texts could give: its length is {:.1e}", what, length);
  }
  return rest / length;
}

SparseWords LassoWords(const TextAtoms& atoms, const Vector& direction, Index count) {
  Check(atoms, direction.size(), count);
  LassoPath path(atoms, direction);
  path.Follow(count);
  SparseWords words = FitWeights(direction, path.active(), path.chosen());
  words.penalty = std::max(path.penalty(), 0.0);
  return words;
}

std::vector<SparseWords> CoherentWords(const TextAtoms& atoms, const Matrix& directions,
                                       const CoherentOptions& options) {
  Check(atoms, directions.cols(), options.count);
  if (!(options.coherence >= 0)) {
    throw Error(ErrorCode::kInvalidArgument, "coherence {}: it is at least 0", options.coherence);
  }
  std::vector<SparseWords> words;
  for (Index begin = 0; begin < directions.rows(); begin += kDirectionsATask) {
    std::vector<Pursuit> pursuits(ToSize(std::min(kDirectionsATask, directions.rows() - begin)));
    for (std::size_t i = 0; i < pursuits.size(); ++i) {
      pursuits[i].direction = directions.row(begin + static_cast<Index>(i)).transpose();
      pursuits[i].rest = pursuits[i].direction;
    }
    for (Index k = 0; k < options.count && PickNext(atoms, options.coherence, pursuits); ++k) {
    }
    for (Pursuit& pursuit : pursuits) words.push_back(std::move(pursuit.words));
  }
  return words;
}

}  // namespace cliplens
