// The fast kernels against the plain ones.
#include "cliplens/model/nn/kernels.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "cliplens/model/nn/attention.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens::nn {
namespace {

std::vector<float> Random(Index n, std::uint64_t seed, float scale = 1.0f) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(ToSize(n));
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

TEST(LayerNorm, RoundsToBFloat16AsTheScalarConversionDoes) {
  const std::vector<float> x = Random(3 * 37, 14, 2.0f);
  const std::vector<float> gain = Random(37, 15);
  const std::vector<float> bias = Random(37, 16);
  std::vector<float> full(x.size());
  std::vector<BFloat16> half(x.size());
  LayerNorm(x.data(), 3, 37, gain.data(), bias.data(), 1e-5f, full.data());
  LayerNorm(x.data(), 3, 37, gain.data(), bias.data(), 1e-5f, half.data());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(half[i].bits, ToBFloat16(full[i]).bits);
}

TEST(BFloat16, RoundsToNearestTiesToEven) {
  EXPECT_EQ(ToFloat(ToBFloat16(1.0f)), 1.0f);
  EXPECT_EQ(ToFloat(ToBFloat16(1.0f + 1.0f / 256)), 1.0f);               // a tie, down to even
  EXPECT_EQ(ToFloat(ToBFloat16(1.0f + 3.0f / 256)), 1.0f + 4.0f / 256);  // a tie, up to even
  EXPECT_EQ(ToFloat(ToBFloat16(1.0f + 1.1f / 256)), 1.0f + 2.0f / 256);
  EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(std::nanf("")))));
}

// q, k, v side by side as the tower has them.
struct Heads {
  Index tokens, width;
  std::vector<float> qkv;
  Heads(Index n, Index k, float scale) : tokens(n), width(k), qkv(Random(n * 3 * k, 5, scale)) {}
  AttentionArgs<float> Args(Index first, Index rows, bool causal, std::vector<float>& out) const {
    out.assign(ToSize(rows * width), -1.0f);
    return {.first = first,
            .rows = rows,
            .tokens = tokens,
            .head_width = width,
            .q = qkv.data() + first * 3 * width,
            .k = qkv.data() + width,
            .v = qkv.data() + 2 * width,
            .q_stride = 3 * width,
            .kv_stride = 3 * width,
            .scale = 1.0f / std::sqrt(static_cast<float>(width)),
            .causal = causal,
            .out = out.data(),
            .out_stride = width};
  }
};

TEST(Attention, EqualsReferenceForAnyShape) {
  for (const auto& [tokens, width] : {std::pair<Index, Index>{1, 1},
                                      {2, 6},
                                      {5, 64},
                                      {17, 48},
                                      {50, 80},
                                      {65, 34},
                                      {77, 88},
                                      {197, 64},
                                      {257, 104}}) {
    for (bool causal : {false, true}) {
      const Heads heads(tokens, width, 1.5f);
      std::vector<float> fast;
      std::vector<float> reference;
      std::vector<float> fast_alpha(ToSize(tokens), -1.0f);
      std::vector<float> reference_alpha = fast_alpha;
      AttentionArgs<float> args = heads.Args(0, tokens, causal, fast);
      args.alpha = fast_alpha.data();
      args.alpha_query = tokens / 2;
      Attention(args);
      args = heads.Args(0, tokens, causal, reference);
      args.alpha = reference_alpha.data();
      args.alpha_query = tokens / 2;
      RefAttention(args);
      EXPECT_LT(LargestDifference(fast, reference), 5e-6) << tokens << " " << width << causal;
      EXPECT_LT(LargestDifference(fast_alpha, reference_alpha), 1e-6) << tokens << " " << width;
    }
  }
}

TEST(Attention, AQueryDoesNotDependOnTheOthers) {
  const Heads heads(50, 64, 1.5f);
  for (bool causal : {false, true}) {
    std::vector<float> all;
    Attention(heads.Args(0, 50, causal, all));
    for (Index i = 0; i < 50; ++i) {
      std::vector<float> one;
      Attention(heads.Args(i, 1, causal, one));
      for (Index k = 0; k < 64; ++k) {
        ASSERT_EQ(At(one, k), At(all, i * 64 + k)) << i << causal;
      }
    }
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Heads heads(9, 16, 60.0f);
  std::vector<float> fast;
  std::vector<float> reference;
  Attention(heads.Args(0, 9, false, fast));
  RefAttention(heads.Args(0, 9, false, reference));
  EXPECT_LT(LargestDifference(fast, reference), 1e-3);  // of scores near 10,000
}

TEST(Linear, EqualsReferenceWithEveryEpilogueAndTeam) {
  for (const auto& [rows, in, out] : {std::tuple<Index, Index, Index>{1, 12, 36},
                                      {65, 192, 576},
                                      {7, 33, 5},
                                      {3, 1, 1},
                                      {70, 24, 2500}}) {
    const std::vector<float> x = Random(rows * in, 7);
    const std::vector<float> weight = Random(in * out, 8, 0.2f);
    const std::vector<float> bias = Random(out, 9);
    const Weights packed(weight.data(), bias.data(), out, in, Precision::kF32);
    for (Epilogue epilogue : {Epilogue::kNone, Epilogue::kGelu, Epilogue::kQuickGelu}) {
      for (bool accumulate : {false, true}) {
        if (accumulate && epilogue != Epilogue::kNone) continue;
        const std::vector<float> before = Random(rows * out, 10);
        std::vector<float> fast = before;
        std::vector<float> reference = before;
        std::vector<float> shared = before;
        LinearArgs<float, float> args{.rows = rows,
                                      .x = x.data(),
                                      .x_stride = in,
                                      .y = fast.data(),
                                      .y_stride = out,
                                      .epilogue = epilogue,
                                      .accumulate = accumulate};
        Team alone;
        Linear(packed, args, alone);
        args.y = reference.data();
        RefLinear(weight.data(), bias.data(), out, in, args);
        EXPECT_LT(LargestDifference(fast, reference), 2e-5)
            << rows << " " << in << " " << out << " " << static_cast<int>(epilogue);
        args.y = shared.data();
        Team team(3);
        Linear(packed, args, team);
        EXPECT_EQ(fast, shared);
      }
    }
  }
}

TEST(Linear, InBFloat16IsTheExactProductOfRoundedNumbers) {
  if (!HasBFloat16()) GTEST_SKIP() << "this processor has no bfloat16 products";
  constexpr Index kRows = 9;
  constexpr Index kIn = 70;
  constexpr Index kOut = 90;
  std::vector<float> x = Random(kRows * kIn, 17);
  std::vector<float> weight = Random(kIn * kOut, 18, 0.2f);
  std::vector<BFloat16> halves;
  for (float& v : x) {
    halves.push_back(ToBFloat16(v));
    v = ToFloat(halves.back());
  }
  const std::vector<float> bias = Random(kOut, 19);
  const Weights packed(weight.data(), bias.data(), kOut, kIn, Precision::kBF16);
  for (float& v : weight) v = ToFloat(ToBFloat16(v));
  std::vector<float> fast(ToSize(kRows * kOut));
  std::vector<float> reference = fast;
  std::vector<BFloat16> short_result(fast.size());
  Team team;
  Linear(
      packed,
      LinearArgs<BFloat16, float>{
          .rows = kRows, .x = halves.data(), .x_stride = kIn, .y = fast.data(), .y_stride = kOut},
      team);
  RefLinear(
      weight.data(), bias.data(), kOut, kIn,
      {.rows = kRows, .x = x.data(), .x_stride = kIn, .y = reference.data(), .y_stride = kOut});
  EXPECT_LT(LargestDifference(fast, reference), 2e-5);
  Linear(packed,
         LinearArgs<BFloat16, BFloat16>{.rows = kRows,
                                        .x = halves.data(),
                                        .x_stride = kIn,
                                        .y = short_result.data(),
                                        .y_stride = kOut},
         team);
  for (std::size_t i = 0; i < fast.size(); ++i) {
    EXPECT_EQ(short_result[i].bits, ToBFloat16(fast[i]).bits);
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
