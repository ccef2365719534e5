#include "cliplens/analysis/matching_pursuit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "cliplens/analysis/sparse_words.h"
#include "cliplens/base/buffer.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/base/parallel.h"

namespace cliplens {
namespace {

constexpr double kFp64Rounding = std::numeric_limits<double>::epsilon();
// Error of a correlation in fp32, over the lengths of text and rest: 4e-7 of the product
// (matmul.h), and 2^-24 for the rounding of each of the two.
constexpr double kProductError = 6e-7;
// Correlations nearer than this, over the same lengths, are tied: fp64 rounds sums of E terms.
constexpr double kTiedCorrelation = 1e-13;
// A coordinate that varies less than this, over its size, is constant: embeddings are fp32.
constexpr double kConstant = 1e-7;
// Where less than this is left of a text's squared length, rounding asks for a second pass
// ("twice is enough": Giraud and others, Numerische Mathematik 101, 2005).
constexpr double kSecondPass = 0.25;
// Targets of a task: enough for the product to be fast, and few enough for a tile of correlations
// to stay in the second cache.
constexpr Index kMostTargets = 128;
constexpr Index kBasisBytes = Index{64} << 20;
// The product's rows come in multiples of this, since it keeps code for each number of rows.
constexpr Index kRowBlock = 32;

// What one thread works in. Row i belongs to target i of the task.
struct PursuitWork {
  Matrix rest;                 // [targets, E] of the targets, which are made unit first
  std::vector<double> length;  // of the targets
  Buffer<double> basis;        // [targets, capacity, E] orthonormal rows
  std::vector<Index> active;
  Buffer<float> rest_f32, correlations;
  struct Candidate {
    Index text;
    float correlation;
  };
  struct Search {
    float most = 0;
    std::vector<Candidate> candidates;
  };
  std::vector<Search> searches;
  Team team;
};

// Not finite where a number is not. The same bits wherever the row lies, unlike Eigen's stableNorm.
double LengthOf(const Eigen::Ref<const RowVector>& row) {
  if (!row.allFinite()) return std::numeric_limits<double>::quiet_NaN();
  int exponent = 0;
  std::frexp(row.cwiseAbs().maxCoeff(), &exponent);
  exponent = std::max(exponent, -1000);  // 2^-exponent is finite
  return std::ldexp((row * std::ldexp(1.0, -exponent)).norm(), exponent);
}

class PursuitTask {
 public:
  PursuitTask(const PursuitAtoms& atoms, const PursuitOptions& options, PursuitWork& work,
              std::span<PursuitPath> paths, ProgressCount& progress)
      : atoms_(atoms), count_(options.count), work_(work), paths_(paths), progress_(progress) {}

  static Index Capacity(const PursuitAtoms& atoms, Index count) {
    return std::min({count, atoms.size(), atoms.width()});
  }

  // The targets are rows of work.rest.
  void Run() {
    const auto n = static_cast<Index>(paths_.size());
    capacity_ = Capacity(atoms_, count_);
    work_.basis.Grow(n * capacity_ * atoms_.width());
    work_.length.assign(ToSize(n), 0.0);
    work_.searches.resize(ToSize(n));
    work_.active.clear();
    for (Index i = 0; i < n; ++i) Open(i);
    Report();
    while (!work_.active.empty()) {
      FindCandidates();
      std::vector<Index> active;
      for (std::size_t k = 0; k < work_.active.size(); ++k) {
        if (Step(work_.active[k], work_.searches[k])) active.push_back(work_.active[k]);
      }
      work_.active = std::move(active);
      Report();
    }
  }

 private:
  void Open(Index i) {
    PursuitPath& path = At(paths_, i);
    const double length = LengthOf(work_.rest.row(i));
    At(work_.length, i) = length;
    path.squared_length = length * length;
    if (length == 0) {
      End(path, PursuitEnd::kExact);
      return;
    }
    work_.rest.row(i) /= length;
    path.factor.reserve(ToSize(capacity_ * (capacity_ + 1) / 2));
    work_.active.push_back(i);
  }

  bool End(PursuitPath& path, PursuitEnd end) {
    path.end = end;
    done_ += capacity_ - path.size();
    return false;
  }
  void Report() { progress_.Add(std::exchange(done_, 0)); }

  // For each active target the texts that may correlate most with its rest.
  void FindCandidates() {
    const Index width = atoms_.width();
    const auto active = static_cast<Index>(work_.active.size());
    const Index rows = (active + kRowBlock - 1) / kRowBlock * kRowBlock;
    float* const rest = work_.rest_f32.Grow(rows * width);
    float* const correlations = work_.correlations.Grow(rows * PursuitAtoms::kTile);
    for (Index k = 0; k < rows; ++k) {
      Eigen::Map<Eigen::RowVectorXf> row(rest + k * width, width);
      if (k >= active) {
        row.setZero();
        continue;
      }
      // Unit, so that what is left at the end of a path keeps its digits.
      const auto r = work_.rest.row(At(work_.active, k));
      row = (r / r.norm()).cast<float>();
      At(work_.searches, k).most = 0;
      At(work_.searches, k).candidates.clear();
    }
    const auto slack = static_cast<float>(2 * kProductError * atoms_.most_length());
    Index first = 0;
    for (const nn::Weights& tile : atoms_.tiles()) {
      nn::Linear(
          tile,
          {.rows = rows, .x = rest, .x_stride = width, .y = correlations, .y_stride = tile.out()},
          work_.team);
      for (Index k = 0; k < active; ++k) {
        PursuitWork::Search& search = At(work_.searches, k);
        const float* const row = correlations + k * tile.out();
        const float most =
            Eigen::Map<const Eigen::RowVectorXf>(row, tile.out()).cwiseAbs().maxCoeff();
        if (most < search.most - slack) continue;
        search.most = std::max(search.most, most);
        for (Index j = 0; j < tile.out(); ++j) {
          const float size = std::abs(row[j]);
          if (size >= search.most - slack) search.candidates.push_back({first + j, size});
        }
      }
      first += tile.out();
    }
    for (Index k = 0; k < active; ++k) {
      PursuitWork::Search& search = At(work_.searches, k);
      std::erase_if(search.candidates, [&](const PursuitWork::Candidate& c) {
        return c.correlation < search.most - slack;
      });
    }
  }

  // The target's next text, if there is one. Returns whether there may be another.
  bool Step(Index i, const PursuitWork::Search& search) {
    PursuitPath& path = At(paths_, i);
    auto rest = work_.rest.row(i);
    const double squared_rest = rest.squaredNorm();
    std::vector<double> sizes;
    for (const PursuitWork::Candidate& c : search.candidates) {
      sizes.push_back(std::abs(atoms_.rows().row(c.text).dot(rest)));
    }
    const double least = *std::ranges::max_element(sizes) -
                         kTiedCorrelation * atoms_.most_length() * std::sqrt(squared_rest);
    const auto at = std::ranges::find_if(sizes, [&](double size) { return size >= least; });
    const Index best = search.candidates[ToSize(at - sizes.begin())].text;
    const double squared_atom = atoms_.rows().row(best).squaredNorm();
    if (*at * *at <= kFp64Rounding * squared_atom || path.size() == capacity_) {
      return End(path, squared_rest <= kFp64Rounding ? PursuitEnd::kExact : PursuitEnd::kNoText);
    }
    const double squared_left = Orthogonalise(i, best, squared_atom);
    if (squared_left <= kFp64Rounding * squared_atom) {
      // Rounding alone lets the rule above pass such a text.
      path.factor.resize(ToSize(path.size() * (path.size() + 1) / 2));
      return End(path, PursuitEnd::kNoText);
    }
    Eigen::Map<RowVector> q = BasisRow(i, path.size());
    q /= std::sqrt(squared_left);
    path.factor.push_back(std::sqrt(squared_left));
    const double along = q.dot(rest);
    rest -= along * q;
    const double length = At(work_.length, i);
    path.texts.push_back(best);
    path.along.push_back(along * length);
    path.squared_rest.push_back(rest.squaredNorm() * path.squared_length);
    ++done_;
    if (path.size() == count_) return End(path, PursuitEnd::kCount);
    if (rest.squaredNorm() <= kFp64Rounding) return End(path, PursuitEnd::kExact);
    return true;
  }

  Eigen::Map<RowVector> BasisRow(Index i, Index k) {
    const Index width = atoms_.width();
    return {work_.basis.data() + (i * capacity_ + k) * width, width};
  }

  // The next row of the basis, not yet unit, is what the rows before leave of the text; its
  // products with them are appended to the factor. Modified Gram-Schmidt. Returns its squared
  // length.
  double Orthogonalise(Index i, Index text, double squared_atom) {
    PursuitPath& path = At(paths_, i);
    const Index size = path.size();
    Eigen::Map<RowVector> q = BasisRow(i, size);
    q = atoms_.rows().row(text);
    path.factor.resize(path.factor.size() + ToSize(size));
    double* const column = path.factor.data() + path.factor.size() - size;
    double squared = squared_atom;
    for (int pass = 0; pass < 2; ++pass) {
      for (Index k = 0; k < size; ++k) {
        const Eigen::Map<RowVector> before = BasisRow(i, k);
        const double along = before.dot(q);
        q -= along * before;
        column[k] += along;
      }
      const double left = q.squaredNorm();
      const bool enough = left > kSecondPass * squared;
      squared = left;
      if (enough) break;
    }
    return squared;
  }

  const PursuitAtoms& atoms_;
  const Index count_;
  Index capacity_ = 0;
  PursuitWork& work_;
  std::span<PursuitPath> paths_;
  ProgressCount& progress_;
  Index done_ = 0;  // texts chosen, or not to be chosen, since the last report
};

// Row i of the targets is read by read(i, row).
template <typename Read>
std::vector<PursuitPath> Pursue(const PursuitAtoms& atoms, Index targets, Index width,
                                const PursuitOptions& options, const Read& read) {
  if (width != atoms.width() || options.count < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "matching pursuit: targets of width {} and texts of width {}; count {}, at least 1",
                width, atoms.width(), options.count);
  }
  std::vector<PursuitPath> paths(ToSize(targets));
  if (targets == 0) return paths;
  const Index capacity = PursuitTask::Capacity(atoms, options.count);
  const int threads = ResolveThreads(options.threads);
  const Index most =
      std::clamp(kBasisBytes / (capacity * width * Index{sizeof(double)}), Index{1}, kMostTargets);
  const Index chunk = std::min(most, (targets + threads - 1) / threads);
  std::vector<PursuitWork> works(ToSize(threads));
  ProgressCount progress(options.progress, targets * capacity);
  ParallelFor(threads, (targets + chunk - 1) / chunk, [&](Index task, int worker) {
    const Index first = task * chunk;
    const Index n = std::min(chunk, targets - first);
    PursuitWork& work = At(works, worker);
    work.rest.resize(n, width);
    for (Index i = 0; i < n; ++i) {
      read(first + i, work.rest.row(i));
      const double length = LengthOf(work.rest.row(i));
      if (!std::isfinite(length * length)) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "matching pursuit: target {} of {} is not finite (its length is {}); check what "
            "it was computed from",
            first + i, targets, length);
      }
    }
    PursuitTask(atoms, options, work, std::span(paths).subspan(ToSize(first), ToSize(n)), progress)
        .Run();
  });
  return paths;
}

}  // namespace

const char* NameOf(TextScale scale) { return scale == TextScale::kUnit ? "unit" : "reference"; }

PursuitAtoms::PursuitAtoms(ArrayView<const float, 2> texts, TextScale scale) {
  if (texts.size() == 0) {
    throw Error(ErrorCode::kInvalidArgument, "matching pursuit: {} texts of width {}; give a pool",
                texts.dim(0), texts.dim(1));
  }
  const auto odd = std::ranges::find_if(texts.flat(), [](float x) { return !std::isfinite(x); });
  if (odd != texts.flat().end()) {
    throw Error(ErrorCode::kInvalidArgument,
                "matching pursuit: text {} of {} has the number {}; embed the texts again",
                (odd - texts.flat().begin()) / texts.dim(1), texts.dim(0), *odd);
  }
  rows_ = AboutTheirMean(texts);
  const Vector lengths = LengthsAboutMean(rows_);
  if (scale == TextScale::kUnit) {
    MakeUnit(rows_, lengths);
  } else {
    RowVector factors = rows_.colwise().norm();
    const double root = std::sqrt(static_cast<double>(size()));
    for (Index e = 0; e < width(); ++e) {
      const bool constant = factors[e] <= kConstant * root * std::abs(double{texts(0, e)});
      factors[e] = constant ? 0.0 : 1 / factors[e];
    }
    rows_.array().rowwise() *= factors.array();
  }
  most_length_ = std::sqrt(rows_.rowwise().squaredNorm().maxCoeff());
  MatrixF some;
  for (Index j = 0; j < size(); j += kTile) {
    some = rows_.middleRows(j, std::min(kTile, size() - j)).cast<float>();
    tiles_.emplace_back(some.data(), nullptr, some.rows(), width(), nn::Precision::kF32);
  }
}

Vector PursuitPath::Coefficients(Index prefix) const {
  if (prefix < 0) {
    throw Error(ErrorCode::kInvalidArgument, "matching pursuit: {} texts of a path, at least 0",
                prefix);
  }
  const Index n = std::min(prefix, size());
  Vector weights = Eigen::Map<const Vector>(along.data(), n);
  for (Index k = n - 1; k >= 0; --k) {
    const Eigen::Map<const Vector> column(factor.data() + k * (k + 1) / 2, k + 1);
    weights[k] /= column[k];
    weights.head(k) -= weights[k] * column.head(k);
  }
  return weights;
}

std::vector<PursuitPath> MatchingPursuit(const PursuitAtoms& atoms,
                                         ArrayView<const float, 2> targets,
                                         const PursuitOptions& options) {
  return Pursue(atoms, targets.dim(0), targets.dim(1), options,
                [&](Index i, auto row) { row = AsEigen(targets).row(i).template cast<double>(); });
}

std::vector<PursuitPath> MatchingPursuit(const PursuitAtoms& atoms, const Matrix& targets,
                                         const PursuitOptions& options) {
  return Pursue(atoms, targets.rows(), targets.cols(), options,
                [&](Index i, auto row) { row = targets.row(i); });
}

}  // namespace cliplens
