#include "cliplens/decompose/sums.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/io/file.h"

namespace cliplens {
namespace {

constexpr Index kLayers = 2;
constexpr Index kHeads = 3;
constexpr Index kHeadWidth = 6;
constexpr FactorLayout kLayout = {.values = kHeadWidth, .constants = 3};
constexpr Index kFactorWidth = kLayout.width();
constexpr Index kEmbedWidth = 10;
constexpr FactorSizes kSizes = {kLayers, kHeads, kLayout, kEmbedWidth};
constexpr Index kSlices = 4;

// Numbers like a model's: means far from zero, deviations down to a thousandth of them. The
// embeddings are what the contributions add up to.
class SumsTest : public testing::Test {
 protected:
  SumsTest() : random_(7) {
    basis_.heads = Array<float, 4>({kLayers, kHeads, kFactorWidth, kEmbedWidth});
    for (float& v : basis_.heads.flat()) v = 0.2f * Normal();
  }

  float Normal() { return normal_(random_); }

  FactorBlock Block(Index images) {
    FactorBlock block = MakeBlock(kSizes, images);
    for (Index b = 0; b < images; ++b) {
      block.ln(b, 0) = 0.3f + 0.01f * Normal();
      block.ln(b, 1) = 1.5f + 0.01f * Normal();
      block.ln(b, 2) = 4.0f + 0.1f * Normal();
    }
    for (float& v : block.head_z.flat()) v = 3.0f + 0.01f * Normal();
    for (float& v : block.mlp.flat()) v = 0.1f + 0.001f * Normal();
    for (float& v : block.cls_attn.flat()) v = 0.01f * Normal();
    for (float& v : block.embedding.flat()) v = 0.3f + 0.1f * Normal();
    return block;
  }

  std::vector<Index> Slices(Index images) {
    std::vector<Index> slices;
    for (Index b = 0; b < images; ++b) slices.push_back(static_cast<Index>(random_() % kSlices));
    return slices;
  }

  static StatisticsSums Empty() { return StatisticsSums(kSizes, kSlices); }

  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
  Basis basis_;
};

TEST_F(SumsTest, BlocksAddUpToTheSameBytesInAnyOrderAndOnAnyThreads) {
  std::vector<FactorBlock> blocks;
  std::vector<std::vector<Index>> slices;
  for (const Index images : {200, 1, 64, 65, 130}) {
    blocks.push_back(Block(images));
    slices.push_back(Slices(images));
  }
  StatisticsSums forward = Empty();
  StatisticsSums backward = Empty();
  StatisticsSums left = Empty();
  StatisticsSums right = Empty();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    forward.Add(blocks[i], slices[i], basis_, 1);
    const std::size_t j = blocks.size() - 1 - i;
    backward.Add(blocks[j], slices[j], basis_, 3);
    (i % 2 == 0 ? left : right).Add(blocks[i], slices[i], basis_, 2);
  }
  right.Merge(left);
  EXPECT_EQ(forward.images(), 460);
  EXPECT_EQ(forward.Difference(backward), "");
  EXPECT_EQ(forward.Difference(right), "");
  TemporaryDirectory directory;
  EXPECT_EQ(forward.Write(directory.path() / "a"), right.Write(directory.path() / "b"));
  EXPECT_EQ(StatisticsSums::Read(directory.path() / "a").Difference(forward), "");
  // The bytes that travel are the file's.
  const std::vector<std::uint8_t> bytes = forward.ToBytes();
  EXPECT_EQ(bytes, ReadFile(directory.path() / "a", 1 << 30));
  EXPECT_EQ(StatisticsSums::FromBytes(bytes, "sums").Difference(forward), "");
  ExpectError(ErrorCode::kCorruptData, "sums",
              [&] { StatisticsSums::FromBytes(std::span(bytes).first(bytes.size() / 2), "sums"); });
  left.Merge(left);
  EXPECT_EQ(forward.Difference(left), "count");
}

TEST_F(SumsTest, TheSizeOfBlocksChangesNoBit) {
  constexpr Index kImages = 331;
  const FactorBlock whole = Block(kImages);
  const std::vector<Index> slices = Slices(kImages);
  StatisticsSums once = Empty();
  once.Add(whole, slices, basis_, 2);
  for (const Index size : {1, 7, 64, 65, 200}) {
    StatisticsSums sums = Empty();
    for (Index begin = 0; begin < kImages; begin += size) {
      std::vector<Index> rows(ToSize(std::min(size, kImages - begin)));
      std::iota(rows.begin(), rows.end(), begin);
      std::vector<Index> of_rows;
      for (const Index b : rows) of_rows.push_back(At(slices, b));
      sums.Add(SelectRows(whole, rows), of_rows, basis_, 2);
    }
    EXPECT_EQ(sums.Difference(once), "") << size;
  }
}

// The figures against the definitions, in two passes over all images in long double.
TEST_F(SumsTest, FiguresEqualTwoPassesOverAllImages) {
  std::vector<FactorBlock> blocks;
  StatisticsSums sums = Empty();
  for (const Index images : {300, 400, 37}) {
    blocks.push_back(Block(images));
    std::vector<Index> slices(ToSize(images), 0);
    sums.Add(blocks.back(), slices, basis_, 2);
  }
  const Statistics statistics(sums, basis_);
  const SliceStatistics& slice = statistics.slice(0);
  const auto rows_of = [&](auto fill, Index width) {
    std::vector<std::vector<double>> rows;
    for (const FactorBlock& block : blocks) {
      for (Index b = 0; b < block.images(); ++b) {
        rows.emplace_back(ToSize(width));
        fill(block, b, rows.back());
      }
    }
    return rows;
  };
  using Rows = std::vector<std::vector<double>>;
  const auto mean_of = [](const Rows& rows) {
    std::vector<long double> mean(rows.front().size(), 0);
    for (const auto& row : rows) {
      for (std::size_t k = 0; k < row.size(); ++k) mean[k] += row[k];
    }
    for (auto& m : mean) m /= static_cast<long double>(rows.size());
    return mean;
  };
  const auto product = [](const Rows& a, const std::vector<long double>& mean_a, std::size_t i,
                          const Rows& b, const std::vector<long double>& mean_b, std::size_t k) {
    long double sum = 0;
    for (std::size_t n = 0; n < a.size(); ++n) {
      sum += (a[n][i] - mean_a[i]) * (b[n][k] - mean_b[k]);
    }
    return static_cast<double>(sum);
  };
  const Rows u = rows_of(
      [](const FactorBlock& block, Index b, std::vector<double>& row) {
        block.layout().Fill(block.HeadRows({1, 2}).row(b), ScaleOf(block.ln.row(b)), row);
      },
      kFactorWidth);
  const auto mean_u = mean_of(u);
  const Moments& head = slice.heads[5];
  EXPECT_EQ(head.count, 737);
  for (std::size_t i = 0; i < u[0].size(); ++i) {
    EXPECT_NEAR(head.mean[static_cast<Index>(i)], static_cast<double>(mean_u[i]), 1e-14);
    const double variance = product(u, mean_u, i, u, mean_u, i);
    const auto at = static_cast<Index>(i);
    EXPECT_LT(std::abs(head.scatter(at, at) - variance), 1e-12 * variance) << i;
    for (std::size_t k = 0; k < u[0].size(); ++k) {
      EXPECT_NEAR(head.scatter(at, static_cast<Index>(k)), product(u, mean_u, i, u, mean_u, k),
                  1e-12 * variance);
    }
  }
  const Rows c =
      rows_of([](const FactorBlock& block, Index b,
                 std::vector<double>& row) { std::ranges::copy(block.mlp[1].row(b), row.begin()); },
              kEmbedWidth);
  const Rows e = rows_of(
      [](const FactorBlock& block, Index b, std::vector<double>& row) {
        std::ranges::copy(block.embedding.row(b), row.begin());
      },
      kEmbedWidth);
  const Rows head_c = rows_of(
      [&](const FactorBlock& block, Index b, std::vector<double>& row) {
        std::vector<double> factor(kFactorWidth);
        block.layout().Fill(block.HeadRows({1, 2}).row(b), ScaleOf(block.ln.row(b)), factor);
        for (Index k = 0; k < kEmbedWidth; ++k) {
          for (Index i = 0; i < kFactorWidth; ++i) {
            At(row, k) += At(factor, i) * basis_.heads(1, 2, i, k);
          }
        }
      },
      kEmbedWidth);
  const auto mean_c = mean_of(c);
  const auto mean_e = mean_of(e);
  const auto mean_head = mean_of(head_c);
  // Second moments are kept about zero, the triangle of MLP 0 behind that of INPUT.
  const std::vector<long double> zero(c[0].size(), 0);
  double about_zero = 0;
  for (std::size_t k = 0; k < c[0].size(); ++k) about_zero += product(c, zero, k, c, zero, k);
  auto square = sums.values(StatisticsSums::kMlpTotalSquare).begin() + TriangleSize(kEmbedWidth);
  double trace = 0;
  double shared = 0;
  double head_shared = 0;
  double embedding = 0;
  for (std::size_t k = 0; k < c[0].size(); ++k) {
    trace += product(c, mean_c, k, c, mean_c, k);
    shared += product(c, mean_c, k, e, mean_e, k);
    head_shared += product(head_c, mean_head, k, e, mean_e, k);
    embedding += product(e, mean_e, k, e, mean_e, k);
    for (std::size_t i = k; i < c[0].size(); ++i) {
      EXPECT_NEAR(SquareToDouble(*square++), product(c, zero, k, c, zero, i), 1e-12 * about_zero);
    }
  }
  EXPECT_LT(std::abs(slice.mlps[1].trace - trace), 1e-12 * trace);
  EXPECT_LT(std::abs(slice.embedding.trace - embedding), 1e-12 * embedding);
  const double scale = std::sqrt(trace * embedding);
  EXPECT_LT(std::abs(slice.shared[kLayers * kHeads + 1] - shared), 1e-9 * scale);
  EXPECT_LT(std::abs(slice.shared[5] - head_shared), 1e-9 * std::sqrt(embedding));
}

TEST_F(SumsTest, NumbersOutOfRangeAreRefused) {
  FactorBlock block = Block(4);
  block.head_z(0, 0, 1, 0) = 1e20f;
  StatisticsSums sums = Empty();
  ExpectError(ErrorCode::kUnsupported, "check the weights",
              [&] { sums.Add(block, std::vector<Index>(4, 0), basis_, 1); });
  StatisticsSums other(kSizes, kSlices + 1);
  ExpectError(ErrorCode::kInvalidArgument, "slices", [&] { other.Merge(Empty()); });
}

TEST_F(SumsTest, AFileThatIsCutAnywhereIsAnError) {
  StatisticsSums sums = Empty();
  sums.Add(Block(3), Slices(3), basis_, 1);
  TemporaryDirectory directory;
  sums.Write(directory.path() / "whole");
  const std::vector<std::uint8_t> bytes = ReadFile(directory.path() / "whole", 1 << 24);
  for (std::size_t n = 0; n < bytes.size(); n += 997) {
    WriteFileAtomically(directory.path() / "cut", std::span(bytes).first(n));
    EXPECT_THROW(StatisticsSums::Read(directory.path() / "cut"), Error) << n;
  }
}

}  // namespace
}  // namespace cliplens
