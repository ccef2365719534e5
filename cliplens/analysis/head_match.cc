#include "cliplens/analysis/head_match.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <numbers>
#include <numeric>

#include "cliplens/analysis/common_pictures.h"
#include "cliplens/analysis/group_share.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kFewest = 3;       // pictures
constexpr Index kRows = 16;        // of the Gram matrices at a time
constexpr Index kHeadsATask = 96;  // of a in one product

std::vector<HeadId> HeadsOf(const Store& store) {
  return ParseHeads("all", static_cast<int>(store.basis().layers()),
                    static_cast<int>(store.basis().num_heads()));
}

// Centred coordinates [n, r] of each head in fp32; without rows where there is no variance.
std::vector<MatrixF> Coordinates(const Store& store, const std::vector<HeadId>& heads,
                                 const std::vector<Index>& pictures, int threads,
                                 const std::function<void()>& done) {
  const Array<float, 2> ln = store.ReadLn();
  std::vector<MatrixF> out(heads.size());
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    const auto at = ToSize(i);
    const HeadRows rows = ReadHeadRows(store, heads[at], ln, pictures);
    // Of length 1, so that no scale is lost in fp32.
    if (rows.total > 0) out[at] = (rows.y / std::sqrt(rows.total)).cast<float>();
    done();
  });
  return out;
}

nn::Operand<float> RowsOf(const MatrixF& m, Index begin, Index end) {
  return {m.data() + begin * m.cols(), end - begin, m.cols(), m.cols(), 1};
}

// Rows [begin, end) of each head's Gram matrix from column `begin` on, as one vector a head: twice
// what is above the diagonal counts once, at √2.
void FillTriangles(const std::vector<MatrixF>& heads, Index begin, Index end, int threads,
                   Matrix& triangles) {
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index h, int) {
    triangles.row(h).setZero();
    const MatrixF& y = At(heads, h);
    if (y.rows() == 0) return;
    const Index n = y.rows() - begin;
    double* const out = triangles.row(h).data();
    nn::AddProduct(RowsOf(y, begin, end), RowsOf(y, begin, y.rows()).Transposed(), out, n);
    for (Index i = 0; i < end - begin; ++i) {
      double* const row = out + i * n;
      std::fill_n(row, i, 0.0);
      for (Index j = i + 1; j < n; ++j) row[j] *= std::numbers::sqrt2;
    }
  });
}

void AddSquares(const Matrix& triangles, std::vector<double>& squares) {
  for (Index h = 0; h < triangles.rows(); ++h) {
    At(squares, h) += triangles.row(h).squaredNorm();
  }
}

std::vector<HeadPair> Pairs(const HeadMatch& match) {
  const Index columns = match.similarity.cols();
  std::vector<Index> order(ToSize(match.similarity.size()));
  std::iota(order.begin(), order.end(), Index{0});
  // Among the equally similar rounding does not decide, but the order of the heads.
  const auto rounded = [&](Index i) { return std::round(match.similarity.data()[i] * 1e9); };
  std::ranges::stable_sort(order, [&](Index i, Index j) { return rounded(i) > rounded(j); });
  std::vector<bool> taken_a(match.heads_a.size(), false), taken_b(match.heads_b.size(), false);
  std::vector<HeadPair> pairs;
  for (const Index i : order) {
    const auto a = ToSize(i / columns);
    const auto b = ToSize(i % columns);
    if (taken_a[a] || taken_b[b]) continue;
    taken_a[a] = taken_b[b] = true;
    pairs.push_back({match.heads_a[a], match.heads_b[b], match.similarity.data()[i]});
  }
  return pairs;
}

}  // namespace

HeadMatch MatchHeads(const Store& a, const Store& b, const MatchOptions& options) {
  if (options.most_images < kFewest) {
    throw Error(ErrorCode::kInvalidArgument, "heads are matched on {} pictures; {} at least",
                options.most_images, kFewest);
  }
  HeadMatch match;
  match.heads_a = HeadsOf(a);
  match.heads_b = HeadsOf(b);
  const CommonPictures common = CommonPicturesOf(a, b);
  match.common = common.size();
  if (match.common < kFewest) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} and {} have {} pictures of the same path, {} are needed to match their heads; "
                "decompose the same set of pictures with both models",
                a.directory().string(), b.directory().string(), match.common, kFewest);
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
  const std::vector<MatrixF> of_a =
      Coordinates(a, match.heads_a, EveryNth(common.a, options.most_images), threads, done);
  const std::vector<MatrixF> of_b =
      Coordinates(b, match.heads_b, EveryNth(common.b, options.most_images), threads, done);
  const auto heads_a = static_cast<Index>(of_a.size());
  const auto heads_b = static_cast<Index>(of_b.size());
  match.images = static_cast<Index>(EveryNth(common.a, options.most_images).size());

  match.similarity = Matrix::Zero(heads_a, heads_b);
  std::vector<double> squares_a(of_a.size(), 0.0), squares_b(of_b.size(), 0.0);
  Matrix triangles_a, triangles_b;
  for (Index begin = 0; begin < match.images; begin += kRows) {
    const Index end = std::min(match.images, begin + kRows);
    const Index size = (end - begin) * (match.images - begin);
    triangles_a.resize(heads_a, size);
    triangles_b.resize(heads_b, size);
    FillTriangles(of_a, begin, end, threads, triangles_a);
    FillTriangles(of_b, begin, end, threads, triangles_b);
    AddSquares(triangles_a, squares_a);
    AddSquares(triangles_b, squares_b);
    ParallelFor(threads, (heads_a + kHeadsATask - 1) / kHeadsATask, [&](Index task, int) {
      const Index first = task * kHeadsATask;
      const Index count = std::min(kHeadsATask, heads_a - first);
      const nn::Operand<double> some{triangles_a.row(first).data(), count, size, size, 1};
      nn::AddProduct(some, nn::Of(triangles_b).Transposed(), match.similarity.row(first).data(),
                     heads_b);
    });
  }
  for (Index i = 0; i < heads_a; ++i) {
    for (Index j = 0; j < heads_b; ++j) {
      const double length = std::sqrt(At(squares_a, i) * At(squares_b, j));
      double& similarity = match.similarity(i, j);
      similarity = length > 0 ? std::clamp(similarity / length, 0.0, 1.0) : 0.0;
    }
  }
  match.matches = Pairs(match);
  return match;
}

}  // namespace cliplens
