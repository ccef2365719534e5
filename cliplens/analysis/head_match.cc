#include "cliplens/analysis/head_match.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <numbers>
#include <numeric>
#include <random>

#include "cliplens/analysis/cka.h"
#include "cliplens/analysis/common_pictures.h"
#include "cliplens/analysis/group_share.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kRows = 16;        // of the Gram matrices at a time
constexpr Index kHeadsATask = 96;  // of a in one product

std::vector<HeadId> HeadsOf(const Store& store) { return store.basis().components().AllHeads(); }

// One store's heads, without rows where there is no variance.
struct Coordinates {
  std::vector<MatrixF> rows;                 // of each head [n, r]
  std::vector<std::vector<double>> offsets;  // GramOffsets [n]
};

// About their means, in fp32.
Coordinates ReadCoordinates(const Store& store, const std::vector<HeadId>& heads,
                            const std::vector<Index>& pictures, int threads,
                            const std::function<void()>& done) {
  const Array<float, 2> ln = store.ReadLn(pictures);
  Coordinates out{.rows = std::vector<MatrixF>(heads.size()),
                  .offsets = std::vector<std::vector<double>>(heads.size())};
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    const auto at = ToSize(i);
    const HeadRows rows = ReadHeadRows(store, heads[at], ln, pictures);
    // Of length 1, so that no scale is lost in fp32.
    if (rows.total > 0) {
      out.rows[at] = (rows.y / std::sqrt(rows.total)).cast<float>();
      out.offsets[at] = GramOffsets(out.rows[at]);
    }
    done();
  });
  return out;
}

// Rows [begin, end) of each head's U-centred Gram matrix, as one vector a head of what lies right
// of the diagonal; the pictures are taken in this order.
void FillTriangles(const Coordinates& heads, const std::vector<Index>& order, Index begin,
                   Index end, int threads, Matrix& triangles) {
  const auto count = static_cast<Index>(heads.rows.size());
  ParallelFor(threads, count, [&](Index h, int) {
    triangles.row(h).setZero();
    const MatrixF& y = At(heads.rows, h);
    if (y.rows() == 0) return;
    const std::vector<double>& offsets = At(heads.offsets, h);
    const Index n = y.rows() - begin;
    MatrixF ordered(n, y.cols());
    for (Index i = 0; i < n; ++i) ordered.row(i) = y.row(At(order, begin + i));
    const nn::Operand<float> all{ordered.data(), n, y.cols(), y.cols(), 1};
    const nn::Operand<float> some{ordered.data(), end - begin, y.cols(), y.cols(), 1};
    double* const out = triangles.row(h).data();
    nn::AddProduct(some, all.Transposed(), out, n);
    for (Index i = 0; i < end - begin; ++i) {
      double* const row = out + i * n;
      const double offset = At(offsets, At(order, begin + i));
      std::fill_n(row, i + 1, 0.0);
      for (Index j = i + 1; j < n; ++j) row[j] += offset + At(offsets, At(order, begin + j));
    }
  });
}

void AddSquares(const Matrix& triangles, std::vector<double>& squares) {
  for (Index h = 0; h < triangles.rows(); ++h) {
    At(squares, h) += triangles.row(h).squaredNorm();
  }
}

void AddProducts(const Matrix& of_a, const Matrix& of_b, int threads, Matrix& products) {
  const Index heads = of_a.rows();
  ParallelFor(threads, (heads + kHeadsATask - 1) / kHeadsATask, [&](Index task, int) {
    const Index first = task * kHeadsATask;
    const Index count = std::min(kHeadsATask, heads - first);
    const nn::Operand<double> some{of_a.row(first).data(), count, of_a.cols(), of_a.cols(), 1};
    nn::AddProduct(some, nn::Of(of_b).Transposed(), products.row(first).data(), of_b.rows());
  });
}

// `orders` times the pictures: as they are, then each time in a random order, the same on every
// machine.
std::vector<std::vector<Index>> Orders(Index pictures, Index orders) {
  std::vector<Index> order(ToSize(pictures));
  std::iota(order.begin(), order.end(), Index{0});
  std::vector<std::vector<Index>> all = {order};
  std::mt19937_64 random(1);
  while (std::ssize(all) < orders) {
    for (std::size_t i = order.size() - 1; i > 0; --i)
      std::swap(order[i], order[random() % (i + 1)]);
    all.push_back(order);
  }
  return all;
}

// Products become CKA, by the squares of the heads' lengths.
void Divide(const std::vector<double>& squares_a, const std::vector<double>& squares_b,
            Matrix& products) {
  for (Index i = 0; i < products.rows(); ++i) {
    for (Index j = 0; j < products.cols(); ++j) {
      const double length = std::sqrt(At(squares_a, i) * At(squares_b, j));
      double& similarity = products(i, j);
      similarity = length > 0 ? std::clamp(similarity / length, -1.0, 1.0) : 0.0;
    }
  }
}

// From the squares of the U-centred triangles of heads of length 1: the trace of the covariance is
// then 1 / (n − 1), and ‖covariance‖² is estimated by 2 · square / (n (n − 3)).
std::vector<double> DirectionsFrom(const std::vector<double>& squares, Index images) {
  const auto n = static_cast<double>(images);
  std::vector<double> directions;
  directions.reserve(squares.size());
  for (const double square : squares) {
    directions.push_back(square > 0 ? n * (n - 3) / (2 * square * (n - 1) * (n - 1)) : 0.0);
  }
  return directions;
}

std::vector<HeadPair> Pairs(const HeadMatch& match, const Coordinates& of_a,
                            const Coordinates& of_b, int threads) {
  const Index columns = match.similarity.cols();
  std::vector<Index> order(ToSize(match.similarity.size()));
  std::iota(order.begin(), order.end(), Index{0});
  const auto vary = [&](Index i) {
    return At(of_a.rows, i / columns).size() > 0 && At(of_b.rows, i % columns).size() > 0;
  };
  // Among the equally similar rounding does not decide, but the order of the heads.
  const auto rank = [&](Index i) {
    return vary(i) ? std::round(match.similarity.data()[i] * 1e9) : -2e9;
  };
  std::ranges::stable_sort(order, [&](Index i, Index j) { return rank(i) > rank(j); });
  std::vector<bool> taken_a(match.heads_a.size(), false), taken_b(match.heads_b.size(), false);
  std::vector<HeadPair> pairs;
  std::vector<Index> places;
  for (const Index i : order) {
    const auto a = ToSize(i / columns);
    const auto b = ToSize(i % columns);
    if (taken_a[a] || taken_b[b]) continue;
    taken_a[a] = taken_b[b] = true;
    pairs.push_back({match.heads_a[a], match.heads_b[b], std::nullopt});
    places.push_back(i);
  }
  ParallelFor(threads, std::ssize(pairs), [&](Index p, int) {
    const Index i = At(places, p);
    if (!vary(i)) return;
    std::optional<Estimate>& similarity = At(pairs, p).similarity;
    similarity = DebiasedCka(At(of_a.rows, i / columns).cast<double>(),
                             At(of_b.rows, i % columns).cast<double>(),
                             std::min(match.images, kMostCkaBlocks));
    // To the last bit that of the matrix.
    if (similarity) similarity->value = match.similarity.data()[i];
  });
  return pairs;
}

}  // namespace

HeadMatch MatchHeads(const Store& a, const Store& b, const MatchOptions& options) {
  if (options.most_images < kFewestForCka) {
    throw Error(ErrorCode::kInvalidArgument, "heads are matched on {} pictures; {} at least",
                options.most_images, kFewestForCka);
  }
  CheckSameLevel(a, b);
  HeadMatch match;
  match.heads_a = HeadsOf(a);
  match.heads_b = HeadsOf(b);
  const CommonPictures common = CommonPicturesOf(a, b);
  match.common = common.size();
  if (match.common < kFewestForCka) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} and {} have {} pictures of the same path, {} are needed to match their heads; "
                "decompose the same set of pictures with both models",
                a.directory().string(), b.directory().string(), match.common, kFewestForCka);
  }
  const auto total = static_cast<Index>(match.heads_a.size() + match.heads_b.size());
  std::mutex mutex;
  Index read = 0;
  const auto done = [&] {
    if (!options.progress) return;
    const std::lock_guard lock(mutex);
    options.progress(++read, total);
  };
  const int threads = options.threads;
  const std::vector<Index> chosen = InOrderOfHash(common, options.most_images);
  match.images = std::ssize(chosen);
  const Coordinates of_a =
      ReadCoordinates(a, match.heads_a, NumbersAt(common.a, chosen), threads, done);
  const Coordinates of_b =
      ReadCoordinates(b, match.heads_b, NumbersAt(common.b, chosen), threads, done);
  const auto heads_a = static_cast<Index>(of_a.rows.size());
  const auto heads_b = static_cast<Index>(of_b.rows.size());

  const std::vector<std::vector<Index>> orders = Orders(match.images, 1 + options.permutations);
  std::vector<Matrix> products(orders.size(), Matrix::Zero(heads_a, heads_b));
  std::vector<double> squares_a(of_a.rows.size(), 0.0), squares_b(of_b.rows.size(), 0.0);
  Matrix triangles_a, triangles_b;
  for (Index begin = 0; begin < match.images; begin += kRows) {
    const Index end = std::min(match.images, begin + kRows);
    const Index size = (end - begin) * (match.images - begin);
    triangles_a.resize(heads_a, size);
    triangles_b.resize(heads_b, size);
    FillTriangles(of_a, orders.front(), begin, end, threads, triangles_a);
    AddSquares(triangles_a, squares_a);
    for (std::size_t p = 0; p < orders.size(); ++p) {
      FillTriangles(of_b, orders[p], begin, end, threads, triangles_b);
      if (p == 0) AddSquares(triangles_b, squares_b);
      AddProducts(triangles_a, triangles_b, threads, products[p]);
    }
  }
  for (Matrix& of_order : products) Divide(squares_a, squares_b, of_order);
  match.similarity = std::move(products.front());
  for (std::size_t p = 1; p < products.size(); ++p) {
    match.chance = std::max(match.chance, products[p].maxCoeff());
  }
  match.directions_a = DirectionsFrom(squares_a, match.images);
  match.directions_b = DirectionsFrom(squares_b, match.images);
  match.matches = Pairs(match, of_a, of_b, threads);
  return match;
}

}  // namespace cliplens
