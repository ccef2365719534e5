// Exact sums over pictures, from which statistics are computed.
//
//   StatisticsSums sums(basis.sizes(), slices);
//   sums.Add(block, slice_of, basis, threads);
//   sums.Merge(other);
//   const Statistics statistics(sums, basis);
//
// Every number of a picture is rounded once to a grid, and sums and sums of products of such
// numbers are exact (fixed_point.h). The same pictures give the same sums in blocks of any size, in
// any order and on any number of threads or machines, so a set that is split, merged or resumed has
// the statistics of one run to the byte (docs/design.md, "Statistics").
//
// Second moments are kept about zero, so that they add up. They are exact, so nothing is lost where
// means are large against deviations.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/fixed_point.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

// Numbers in the upper triangle of a symmetric matrix [n, n], stored row by row from the diagonal.
constexpr Index TriangleSize(Index n) { return n * (n + 1) / 2; }

class StatisticsSums {
 public:
  // Each is a sum over the images. Components have the numbers of Components; T(n) is
  // TriangleSize(n).
  enum Tensor : std::size_t {
    kHeadSum,  // [S, L, H, K+3]: u
    // [S, L, H, T(K+3)]: u u^T. Where factors are contributions [S, L, H, 1]: |c|², since a matrix
    // [E, E] for each head would be larger than the model.
    kHeadSquare,
    kMlpSum,              // [S, L+1, E]: c of the residual parts of Components
    kMlpSquare,           // [S, L+1]: |c|²
    kClsAttnSum,          // [S, L, E]: the class token's attention to itself
    kClsAttnSquare,       // [S, L]
    kEmbeddingSum,        // [S, E]
    kEmbeddingSquare,     // [S]
    kShared,              // [S, L·H + L+1]: ⟨c, e⟩
    kMlpTotalSquare,      // [L+1, T(E)]: c c^T, over all slices
    kClsAttnTotalSquare,  // [L, T(E)]
    kCertificate,         // [1]: ‖Σ c − e‖ / ‖e‖
    kTensors,
  };

  StatisticsSums() = default;
  StatisticsSums(const FactorSizes& sizes, Index slices);

  // Adds a block; slice_of [B]. Returns the certificate of each of its images [B].
  std::vector<double> Add(const FactorBlock& block, std::span<const Index> slice_of,
                          const Basis& basis, int threads);
  // Throws Error(kInvalidArgument) when shapes differ.
  void Merge(const StatisticsSums& other);

  Index images() const;
  Index layers() const { return layers_; }
  Index heads() const { return heads_; }
  Components components() const { return {layers_, heads_, pool_mlp_, level_}; }
  // Whether heads have the trace of their second moment alone (kHeadSquare).
  bool has_traces() const { return traces_; }
  Index factor_width() const { return factor_width_; }
  Index embed_width() const { return embed_width_; }
  Index slices() const { return static_cast<Index>(counts_.size()); }
  Index count(Index slice) const { return At(counts_, slice); }
  std::span<const Fixed> values(Tensor tensor) const { return values_[tensor]; }
  double certificate_max() const { return certificate_max_; }
  double certificate_mean() const;

  // The name of the first tensor that differs, or nothing.
  std::string Difference(const StatisticsSums& other) const;

  // stats.safetensors (docs/store.md). Returns the file's checksum. Reading checks every shape.
  std::string Write(const std::filesystem::path& path) const;
  static StatisticsSums Read(const std::filesystem::path& path);
  // The same without a file, to send sums between programs; `name` stands in messages.
  std::vector<std::uint8_t> ToBytes() const;
  static StatisticsSums FromBytes(std::span<const std::uint8_t> bytes, const std::string& name);

 private:
  friend class BlockSummation;
  std::vector<Index> ShapeOf(Tensor tensor) const;
  std::vector<TensorToWrite> Tensors() const;
  static StatisticsSums FromTensors(const SafetensorsView& file, const std::string& place);

  Index layers_ = 0, heads_ = 0, factor_width_ = 0, embed_width_ = 0;
  bool pool_mlp_ = false;
  Level level_ = Level::kBlocks;
  bool traces_ = false;
  std::vector<std::int64_t> counts_;  // [S]
  std::array<std::vector<Fixed>, kTensors> values_;
  double certificate_max_ = 0;
};

// The work of StatisticsSums::Add as independent tasks, to be run beside other work. The caller
// runs every task in [0, tasks()) once, on any thread. All arguments must outlive this.
class BlockSummation {
 public:
  BlockSummation(StatisticsSums& sums, const FactorBlock& block, std::span<const Index> slice_of,
                 const Basis& basis);
  Index tasks() const { return tasks_; }
  void Run(Index task);
  // Of each image [B], once all tasks have run.
  const std::vector<double>& certificates() const { return certificates_; }

 private:
  void AddHead(Index head);
  void AddHeadContributions(Index head);
  // Rows of one component or of the embedding, and where their sums go.
  struct RowSums {
    ArrayView<const float, 2> rows;
    StatisticsSums::Tensor sum, square;
    Index number = 0, count = 1;  // which of how many in these tensors
    Fixed* shared = nullptr;      // of the component in the first slice; may be null
    Index shared_stride = 0;      // from slice to slice
    Fixed* total = nullptr;       // the second moment over all slices; may be null
  };
  void AddRows(const RowSums& to);
  void AddContributions(Index part);

  StatisticsSums& sums_;
  const FactorBlock& block_;
  const Basis& basis_;
  std::vector<Index> order_;  // the images, slice by slice
  std::vector<Index> begin_;  // [S+1], where a slice begins in `order_`
  std::vector<Index> slice_;  // [B]
  std::vector<double> certificates_;
  std::mutex mutex_;  // of shared sums of heads and the certificate
  Index tasks_ = 0;
};

}  // namespace cliplens
