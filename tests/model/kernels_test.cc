// The fast kernels against the plain ones.
#include "cliplens/model/nn/kernels.h"

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include <Eigen/Core>
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

std::vector<float> Absolute(std::vector<float> values) {
  for (float& v : values) v = std::abs(v);
  return values;
}

// The largest |a − b| / scale, each scale beside its number.
double LargestError(const std::vector<float>& a, const std::vector<float>& b,
                    const std::vector<float>& scale) {
  EXPECT_TRUE(a.size() == b.size() && a.size() == scale.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - b[i]);
    EXPECT_TRUE(std::isfinite(error)) << i;
    if (error > 0) largest = std::max(largest, error / scale[i]);
  }
  return largest;
}

// What the headers allow.
constexpr double kLayerNormError = 4e-7;
constexpr double kAttentionWeightError = 2e-7;
constexpr double kAttentionError = 1e-7;
constexpr double kProductError = 4e-7;

// |gain| · max|x| / σ + |bias|, to which the error of LayerNorm is held.
std::vector<float> LayerNormScale(const std::vector<float>& x, const std::vector<float>& gain,
                                  const std::vector<float>& bias) {
  const std::size_t width = gain.size();
  std::vector<float> scale;
  for (auto row = x.begin(); row != x.end(); row += static_cast<std::ptrdiff_t>(width)) {
    const Eigen::VectorXd v =
        Eigen::Map<const Eigen::VectorXf>(&*row, std::ssize(gain)).cast<double>();
    const double sigma = std::sqrt((v.array() - v.mean()).square().mean() + 1e-5);
    const double largest = v.cwiseAbs().maxCoeff();
    for (std::size_t i = 0; i < width; ++i) {
      scale.push_back(static_cast<float>(std::abs(gain[i]) * largest / sigma + std::abs(bias[i])));
    }
  }
  return scale;
}

// Rows x as wide as the gain, normed into y.
template <typename Y>
LayerNormArgs<Y> Normed(const std::vector<float>& x, const std::vector<float>& gain,
                        const std::vector<float>& bias, std::vector<Y>& y) {
  return {.rows = static_cast<Index>(x.size() / gain.size()),
          .width = static_cast<Index>(gain.size()),
          .x = x.data(),
          .gain = gain.data(),
          .bias = bias.data(),
          .epsilon = 1e-5f,
          .y = y.data()};
}

TEST(Gelu, EqualsTheDefinitionEverywhere) {
  std::vector<float> x = Random(10'003, 3, 2.0f);
  for (float v = -14; v <= 14; v += 0.001f) x.push_back(v);
  std::vector<float> y = x, wanted, scale;
  for (const float v : x) {
    wanted.push_back(static_cast<float>(0.5 * v * std::erfc(-v / std::sqrt(2.0))));
    scale.push_back(std::abs(v));
  }
  Gelu(std::ssize(y), y.data());
  EXPECT_LE(LargestError(y, wanted, scale), 3e-7);
  std::vector<float> far = {-1e30f, -200, 0, 200, 1e30f};
  Gelu(std::ssize(far), far.data());
  EXPECT_EQ(far, (std::vector<float>{0, 0, 0, 200, 1e30f}));
}

TEST(LayerNorm, EqualsReferenceForAnyWidthAndMean) {
  for (Index width : {1, 3, 7, 8, 16, 17, 31, 192, 768, 1000, 1664}) {
    for (float mean : {0.0f, 3.0f, 30.0f, 1000.0f}) {
      std::vector<float> x = Random(5 * width, 1, 3.0f);
      for (float& v : x) v += mean;
      const std::vector<float> gain = Random(width, 2);
      const std::vector<float> bias = Random(width, 3);
      const std::vector<float> scale = LayerNormScale(x, gain, bias);
      std::vector<float> fast(x.size());
      std::vector<float> reference(x.size());
      LayerNorm(Normed(x, gain, bias, fast));
      RefLayerNorm(Normed(x, gain, bias, reference));
      EXPECT_LE(LargestError(fast, reference, scale), kLayerNormError) << width << " " << mean;
    }
  }
}

TEST(LayerNorm, WorksInPlace) {
  std::vector<float> x = Random(3 * 67, 4);
  const std::vector<float> gain = Random(67, 2);
  const std::vector<float> bias = Random(67, 3);
  std::vector<float> apart(x.size());
  LayerNorm(Normed(x, gain, bias, apart));
  LayerNorm(Normed(x, gain, bias, x));
  EXPECT_EQ(x, apart);
}

TEST(LayerNorm, RoundsToBFloat16AsTheScalarConversionDoes) {
  const std::vector<float> x = Random(3 * 37, 14, 2.0f);
  const std::vector<float> gain = Random(37, 15);
  const std::vector<float> bias = Random(37, 16);
  std::vector<float> full(x.size());
  std::vector<BFloat16> half(x.size());
  LayerNorm(Normed(x, gain, bias, full));
  LayerNorm(Normed(x, gain, bias, half));
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

// 1 + the largest Σ |q k| of a score, with which the error of attention grows.
double ScoreScale(const Heads& heads) {
  const auto part = [&](Index i, Index which) {
    return Eigen::Map<const Eigen::VectorXf>(&heads.qkv[ToSize((3 * i + which) * heads.width)],
                                             heads.width)
        .cwiseAbs();
  };
  float largest = 0;
  for (Index i = 0; i < heads.tokens; ++i) {
    for (Index j = 0; j < heads.tokens; ++j) {
      largest = std::max(largest, part(i, 0).dot(part(j, 1)));
    }
  }
  return 1 + largest / std::sqrt(static_cast<double>(heads.width));
}

float LargestValue(const Heads& heads) {
  float largest = 0;
  for (Index i = 0; i < heads.tokens; ++i) {
    for (Index k = 0; k < heads.width; ++k) {
      largest = std::max(largest, std::abs(At(heads.qkv, (3 * i + 2) * heads.width + k)));
    }
  }
  return largest;
}

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
      // Scores of up to 25, 280 and 40,000.
      for (float size : {1.5f, 5.0f, 60.0f}) {
        const Heads heads(tokens, width, size);
        const double growth = ScoreScale(heads);
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
        const std::vector<float> values(fast.size(), LargestValue(heads));
        EXPECT_LE(LargestError(fast, reference, values), kAttentionError * growth)
            << tokens << " " << width << " " << causal << " " << size;
        // Below this a weight may have become zero.
        std::vector<float> weights = reference_alpha;
        for (float& w : weights) w = std::max(w, 1e-30f);
        EXPECT_LE(LargestError(fast_alpha, reference_alpha, weights),
                  kAttentionWeightError * growth)
            << tokens << " " << width << " " << causal << " " << size;
      }
    }
  }
}

TEST(Attention, HiddenKeysHaveNoWeight) {
  const std::vector<Index> hidden = {3, 17, 48};
  for (bool causal : {false, true}) {
    const Heads heads(50, 24, 1.5f);
    std::vector<float> fast;
    std::vector<float> reference;
    std::vector<float> alpha(50, -1.0f);
    AttentionArgs<float> args = heads.Args(0, 50, causal, fast);
    args.hidden = hidden;
    args.alpha = alpha.data();
    args.alpha_query = 49;
    Attention(args);
    for (const Index key : hidden) EXPECT_EQ(At(alpha, key), 0.0f);
    EXPECT_NEAR(std::accumulate(alpha.begin(), alpha.end(), 0.0), 1.0, 1e-6);
    args = heads.Args(0, 50, causal, reference);
    args.hidden = hidden;
    RefAttention(args);
    const std::vector<float> values(fast.size(), LargestValue(heads));
    EXPECT_LE(LargestError(fast, reference, values), kAttentionError * ScoreScale(heads));
  }
}

TEST(Attention, SummedOverQueriesWithWeights) {
  constexpr Index kTokens = 53, kWidth = 24, kPools = 7, kStride = 60;
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> rows(kTokens * kStride), weights(kPools * kTokens), out(kPools * kTokens);
  for (float& v : rows) v = normal(random);
  for (float& v : weights) v = normal(random);
  PoolAttention({.tokens = kTokens,
                 .head_width = kWidth,
                 .q = rows.data(),
                 .k = rows.data() + 30,
                 .stride = kStride,
                 .scale = 0.3f,
                 .pools = kPools,
                 .weights = weights.data(),
                 .out = out.data()});
  std::vector<double> wanted(out.size(), 0.0);
  for (Index i = 0; i < kTokens; ++i) {
    std::vector<float> alpha(kTokens), unused(kWidth);
    AttentionArgs<float> one{.first = i, .rows = 1, .tokens = kTokens, .head_width = kWidth};
    one.q = rows.data() + i * kStride;
    one.k = rows.data() + 30;
    one.v = one.k;
    one.q_stride = one.kv_stride = kStride;
    one.scale = 0.3f;
    one.out = unused.data();
    one.out_stride = kWidth;
    one.alpha = alpha.data();
    one.alpha_query = i;
    RefAttention(one);
    for (Index p = 0; p < kPools; ++p) {
      for (Index t = 0; t < kTokens; ++t) {
        At(wanted, p * kTokens + t) += double{At(weights, p * kTokens + i)} * double{At(alpha, t)};
      }
    }
  }
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], wanted[i], 5e-6);
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

TEST(Linear, EqualsReferenceWithEveryEpilogueAndTeam) {
  for (const auto& [rows, in, out] : {std::tuple<Index, Index, Index>{1, 12, 36},
                                      {65, 192, 576},
                                      {7, 33, 5},
                                      {3, 1, 1},
                                      {70, 24, 2500},
                                      {20, 3072, 96}}) {
    const std::vector<float> x = Random(rows * in, 7);
    const std::vector<float> weight = Random(in * out, 8, 0.2f);
    const std::vector<float> bias = Random(out, 9);
    const std::vector<float> absolute_x = Absolute(x);
    const std::vector<float> absolute_weight = Absolute(weight);
    const std::vector<float> absolute_bias = Absolute(bias);
    const Weights packed(weight.data(), bias.data(), out, in, Precision::kF32);
    for (Epilogue epilogue :
         {Epilogue::kNone, Epilogue::kGelu, Epilogue::kQuickGelu, Epilogue::kGeluTanh}) {
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
        // Σ |x w| + |bias| (+ |y|)
        std::vector<float> scale = Absolute(before);
        args.x = absolute_x.data();
        args.y = scale.data();
        args.epilogue = Epilogue::kNone;
        RefLinear(absolute_weight.data(), absolute_bias.data(), out, in, args);
        args.x = x.data();
        args.epilogue = epilogue;
        EXPECT_LE(LargestError(fast, reference, scale), kProductError)
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
  std::vector<float> scale(fast.size());
  const std::vector<float> absolute_x = Absolute(x);
  RefLinear(Absolute(weight).data(), Absolute(bias).data(), kOut, kIn,
            {.rows = kRows,
             .x = absolute_x.data(),
             .x_stride = kIn,
             .y = scale.data(),
             .y_stride = kOut});
  EXPECT_LE(LargestError(fast, reference, scale), kProductError);
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
  const std::vector<float> absolute_a = Absolute(a);
  const std::vector<float> absolute_b = Absolute(b);
  for (bool transpose : {false, true}) {
    const std::vector<float> before = Random(9 * 30, 13);
    std::vector<float> fast = before;
    std::vector<float> reference = before;
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
    // Σ |a b| · alpha + beta |c|
    std::vector<float> scale = Absolute(before);
    args.a = absolute_a.data();
    args.b = absolute_b.data();
    args.c = scale.data();
    RefGemm(args);
    EXPECT_LE(LargestError(fast, reference, scale), kProductError);
  }
}

}  // namespace
}  // namespace cliplens::nn
