// The fast kernels against the plain ones.
#include "cliplens/model/nn/kernels.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "cliplens/model/nn/matmul.h"

namespace cliplens::nn {
namespace {

std::vector<float> Random(Index n, std::uint64_t seed, float scale = 1.0f) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return largest;
}

TEST(LayerNorm, EqualsReferenceForAnyWidth) {
  for (Index width : {1, 3, 7, 8, 16, 17, 31, 192, 768, 1000}) {
    const std::vector<float> x = Random(5 * width, 1, 3.0f);
    const std::vector<float> gain = Random(width, 2);
    const std::vector<float> bias = Random(width, 3);
    std::vector<float> fast(x.size());
    std::vector<float> reference(x.size());
    LayerNorm(x.data(), 5, width, gain.data(), bias.data(), 1e-5f, fast.data());
    RefLayerNorm(x.data(), 5, width, gain.data(), bias.data(), 1e-5f, reference.data());
    EXPECT_LT(LargestDifference(fast, reference), 1e-5) << width;
  }
}

TEST(LayerNorm, WorksInPlaceAndOnLargeMeans) {
  std::vector<float> x = Random(3 * 64, 4);
  for (float& v : x) v += 1000.0f;
  const std::vector<float> gain(64, 1.0f);
  const std::vector<float> bias(64, 0.0f);
  std::vector<float> reference(x.size());
  RefLayerNorm(x.data(), 3, 64, gain.data(), bias.data(), 1e-5f, reference.data());
  LayerNorm(x.data(), 3, 64, gain.data(), bias.data(), 1e-5f, x.data());
  // A mean of 1000 in fp32 is known to 3e-5.
  EXPECT_LT(LargestDifference(x, reference), 1e-3);
}

TEST(Softmax, EqualsReferenceForAnyWidth) {
  for (Index count : {1, 2, 7, 8, 15, 16, 17, 50, 65, 257}) {
    std::vector<float> fast = Random(4 * (count + 2), 5, 4.0f);
    std::vector<float> reference = fast;
    Softmax(fast.data(), 4, count + 2, count, false);
    RefSoftmax(reference.data(), 4, count + 2, count, false);
    EXPECT_LT(LargestDifference(fast, reference), 1e-6) << count;
  }
}

TEST(Softmax, CausalRowsSeeOneMoreEachAndZerosBehind) {
  for (Index rows : {1, 5, 24, 77}) {
    std::vector<float> fast = Random(rows * rows, 6, 2.0f);
    std::vector<float> reference = fast;
    Softmax(fast.data(), rows, rows, 1, true);
    RefSoftmax(reference.data(), rows, rows, 1, true);
    EXPECT_LT(LargestDifference(fast, reference), 1e-6) << rows;
    for (Index i = 0; i < rows; ++i) {
      for (Index j = i + 1; j < rows; ++j)
        EXPECT_EQ(fast[static_cast<std::size_t>(i * rows + j)], 0.0f);
    }
  }
}

TEST(Softmax, LargeScoresDoNotOverflow) {
  std::vector<float> x = {1000.0f, 999.0f, -1000.0f};
  Softmax(x.data(), 1, 3, 3, false);
  EXPECT_NEAR(x[0], 0.731058f, 1e-5);
  EXPECT_NEAR(x[1], 0.268941f, 1e-5);
  EXPECT_EQ(x[2], 0.0f);
}

TEST(Linear, EqualsReferenceWithEveryEpilogue) {
  for (const auto& [rows, in, out] :
       {std::tuple<Index, Index, Index>{1, 12, 36}, {65, 192, 576}, {7, 33, 5}, {3, 1, 1}}) {
    const std::vector<float> x = Random(rows * in, 7);
    const std::vector<float> weight = Random(in * out, 8, 0.2f);
    const std::vector<float> bias = Random(out, 9);
    for (Epilogue epilogue : {Epilogue::kNone, Epilogue::kGelu, Epilogue::kQuickGelu}) {
      for (bool accumulate : {false, true}) {
        if (accumulate && epilogue != Epilogue::kNone) continue;
        std::vector<float> fast = Random(rows * out, 10);
        std::vector<float> reference = fast;
        LinearArgs args{.rows = rows,
                        .in = in,
                        .out = out,
                        .x = x.data(),
                        .x_stride = in,
                        .weight = weight.data(),
                        .bias = bias.data(),
                        .y = fast.data(),
                        .y_stride = out,
                        .epilogue = epilogue,
                        .accumulate = accumulate};
        Linear(args);
        args.y = reference.data();
        RefLinear(args);
        EXPECT_LT(LargestDifference(fast, reference), 2e-5)
            << rows << " " << in << " " << out << " " << static_cast<int>(epilogue);
      }
    }
  }
}

TEST(Gemm, EqualsReferenceWithStridesAndScales) {
  const std::vector<float> a = Random(20 * 50, 11);
  const std::vector<float> b = Random(40 * 50, 12);
  for (bool transpose : {false, true}) {
    std::vector<float> fast = Random(9 * 30, 13);
    std::vector<float> reference = fast;
    GemmArgs args{.m = 9,
                  .n = 24,
                  .k = 32,
                  .a = a.data(),
                  .a_stride = 50,
                  .b = b.data(),
                  .b_stride = 50,
                  .transpose_b = transpose,
                  .c = fast.data(),
                  .c_stride = 30,
                  .alpha = 0.25f,
                  .beta = 0.5f};
    Gemm(args);
    args.c = reference.data();
    RefGemm(args);
    EXPECT_LT(LargestDifference(fast, reference), 1e-5);
  }
}

}  // namespace
}  // namespace cliplens::nn
