// Convolutions in front of a tower against plain ones in fp64.
#include "cliplens/model/conv_stem.h"

#include <cmath>
#include <random>
#include <vector>

#include "tests/expect_error.h"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cliplens/model/tensor_table.h"

namespace cliplens {
namespace {

constexpr double kEpsilon = 1e-6;

// A picture of channels, [C, side, side].
struct Map {
  Index channels = 0, side = 0;
  std::vector<double> values = {};

  Map(Index channel_count, Index length)
      : channels(channel_count), side(length), values(ToSize(channel_count * length * length)) {}
  double& at(Index c, Index y, Index x) { return At(values, (c * side + y) * side + x); }
};

ModelConfig ConfigOf(StemKind kind, Index side) {
  ModelConfig config;
  config.vision = {.layers = 1, .width = 6, .heads = 1, .mlp_width = 6, .norm_epsilon = kEpsilon};
  config.stem = {kind, 4};
  config.patch_size = 16;
  config.preprocess.image_size = side;
  return config;
}

// Random tensors of the stem, by the table of open_clip's files.
TensorMap TensorsOf(const ModelConfig& config) {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal;
  TensorMap tensors;
  for (const TensorFamily& family : TensorFamilies()) {
    if (!family.anchor.ends_with("backbone.0.conv.weight")) continue;
    for (const TensorRow& row : family.rows) {
      if (!row.name.starts_with("vision.stem.") || !Uses(config, row)) continue;
      Tensor& tensor = tensors[row.name] = {ShapeOf(row, config), {}};
      Index count = 1;
      for (const Index n : tensor.shape) count *= n;
      const float scale = 1.5f / std::sqrt(static_cast<float>(count / tensor.shape[0]));
      for (Index i = 0; i < count; ++i) {
        const float v = scale * normal(random);
        tensor.values.push_back(row.name.ends_with("variance") ? v * v + 0.1f : v);
      }
    }
  }
  return tensors;
}

class Plain {
 public:
  explicit Plain(const TensorMap& tensors) : tensors_(tensors) {}

  const Tensor& Get(const std::string& name) const { return tensors_.at("vision.stem." + name); }
  bool Has(const std::string& name) const { return tensors_.contains("vision.stem." + name); }

  Map Convolve(Map x, const std::string& name, Index stride, Index padding) const {
    const Tensor& weight = Get(name + "weight");
    const Index out = weight.shape[0], in = weight.shape[1], kernel = weight.shape[2];
    const bool deep = in == 1;
    Map y(out, (x.side + 2 * padding - kernel) / stride + 1);
    for (Index o = 0; o < out; ++o) {
      for (Index row = 0; row < y.side; ++row) {
        for (Index column = 0; column < y.side; ++column) {
          double sum = Has(name + "bias") ? At(Get(name + "bias").values, o) : 0;
          for (Index i = 0; i < in; ++i) {
            for (Index k = 0; k < kernel * kernel; ++k) {
              const Index down = row * stride - padding + k / kernel;
              const Index right = column * stride - padding + k % kernel;
              if (down < 0 || right < 0 || down >= x.side || right >= x.side) continue;
              sum += x.at(deep ? o : i, down, right) *
                     At(weight.values, (o * in + i) * kernel * kernel + k);
            }
          }
          y.at(o, row, column) = sum;
        }
      }
    }
    return y;
  }

  static Map Gelu(Map x) {
    for (double& v : x.values) v *= 0.5 * std::erfc(-v / std::sqrt(2.0));
    return x;
  }

  Map Normalize(Map x, const std::string& name) const {
    for (Index p = 0; p < x.side * x.side; ++p) {
      const auto at = [&](Index c) -> double& { return At(x.values, c * x.side * x.side + p); };
      double mean = 0, variance = 0;
      for (Index c = 0; c < x.channels; ++c) mean += at(c) / static_cast<double>(x.channels);
      for (Index c = 0; c < x.channels; ++c) {
        variance += (at(c) - mean) * (at(c) - mean) / static_cast<double>(x.channels);
      }
      for (Index c = 0; c < x.channels; ++c) {
        at(c) = (at(c) - mean) / std::sqrt(variance + kEpsilon) *
                    At(Get(name + "norm.gain").values, c) +
                At(Get(name + "norm.bias").values, c);
      }
    }
    return x;
  }

  Map BatchNorm(Map x, const std::string& name) const {
    const auto of = [&](const char* part, Index c) {
      return double{At(Get(name + "norm." + part).values, c)};
    };
    for (Index c = 0; c < x.channels; ++c) {
      for (Index p = 0; p < x.side * x.side; ++p) {
        double& v = At(x.values, c * x.side * x.side + p);
        v = (v - of("mean", c)) / std::sqrt(of("variance", c) + 1e-5) * of("gain", c) +
            of("bias", c);
      }
    }
    return x;
  }

  static Map MeanOfPlaces(Map x) {
    Map y(x.channels, (x.side - 1) / 2 + 1);
    for (Index c = 0; c < x.channels; ++c) {
      for (Index row = 0; row < y.side; ++row) {
        for (Index column = 0; column < y.side; ++column) {
          double sum = 0, count = 0;
          for (Index down = 2 * row - 1; down <= 2 * row + 1; ++down) {
            for (Index right = 2 * column - 1; right <= 2 * column + 1; ++right) {
              if (down < 0 || right < 0 || down >= x.side || right >= x.side) continue;
              sum += x.at(c, down, right);
              ++count;
            }
          }
          y.at(c, row, column) = sum / count;
        }
      }
    }
    return y;
  }

  Map Bottleneck(Map x, const std::string& name, Index stride) const {
    Map sum = stride == 1 ? x : MeanOfPlaces(x);
    if (Has(name + "shortcut.weight")) sum = Convolve(sum, name + "shortcut.", 1, 0);
    Map y = Gelu(Convolve(Normalize(x, name), name + "in.", 1, 0));
    y = Convolve(Gelu(Convolve(y, name + "deep.", stride, 1)), name + "out.", 1, 0);
    for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] += sum.values[i];
    return y;
  }

 private:
  const TensorMap& tensors_;
};

Array<float, 3> RandomPicture(Index side) {
  std::mt19937_64 random(9);
  std::normal_distribution<float> normal;
  Array<float, 3> picture({3, side, side});
  for (Index i = 0; i < 3 * side * side; ++i) picture.data()[i] = normal(random);
  return picture;
}

Map MapOf(const Array<float, 3>& picture) {
  Map map(3, picture.dim(1));
  for (std::size_t i = 0; i < map.values.size(); ++i) map.values[i] = picture.data()[i];
  return map;
}

// Rows [g², D] against a map [D, g, g].
void ExpectRows(const std::vector<float>& rows, Map wanted) {
  ASSERT_EQ(rows.size(), wanted.values.size());
  const Index places = wanted.side * wanted.side;
  double largest = 0;
  for (Index p = 0; p < places; ++p) {
    for (Index c = 0; c < wanted.channels; ++c) {
      const double error =
          std::abs(At(rows, p * wanted.channels + c) - At(wanted.values, c * places + p));
      largest = std::max(largest, std::isfinite(error) ? error : 1e9);
    }
  }
  EXPECT_LE(largest, 1e-5);
}

std::vector<float> RowsOf(const ModelConfig& config, const TensorMap& tensors,
                          const Array<float, 3>& picture, int threads) {
  const ConvStem stem(config, tensors);
  Workspace workspace(threads);
  std::vector<float> rows(ToSize(config.layout().patches() * config.vision.width));
  stem.Run(picture, rows.data(), workspace);
  stem.Run(picture, rows.data(), workspace);  // of memory that is not new
  return rows;
}

TEST(ConvStem, BottlenecksEqualPlainConvolutions) {
  // The larger one is worked on in several bands.
  for (const Index side : {Index{32}, Index{176}}) {
    const ModelConfig config = ConfigOf(StemKind::kMbConv, side);
    const TensorMap tensors = TensorsOf(config);
    const Array<float, 3> picture = RandomPicture(side);
    const Plain plain(tensors);
    Map map = Plain::Gelu(plain.Normalize(plain.Convolve(MapOf(picture), "0.", 2, 1), "0."));
    map = plain.Convolve(map, "1.", 1, 1);
    const int blocks[] = {2, 4};
    for (int stage = 0; stage < 2; ++stage) {
      for (int block = 0; block < blocks[stage]; ++block) {
        map = plain.Bottleneck(map, fmt::format("stage.{}.{}.", stage, block), block == 0 ? 2 : 1);
      }
    }
    map = plain.Convolve(plain.Normalize(map, "2."), "2.", 2, 1);
    const std::vector<float> rows = RowsOf(config, tensors, picture, 1);
    ExpectRows(rows, map);
    EXPECT_EQ(RowsOf(config, tensors, picture, 3), rows);
  }
}

TEST(ConvStem, ConvolutionsWithFoldedBatchNormsEqualPlainOnes) {
  // Pixels beside the last whole patch are not read.
  for (const Index side : {Index{32}, Index{167}}) {
    const ModelConfig config = ConfigOf(StemKind::kConvolutions, side);
    TensorMap tensors = TensorsOf(config);
    const Array<float, 3> picture = RandomPicture(side);
    const Plain plain(tensors);
    Map map = Plain::Gelu(plain.BatchNorm(plain.Convolve(MapOf(picture), "0.", 4, 0), "0."));
    map = Plain::Gelu(plain.BatchNorm(plain.Convolve(map, "1.", 2, 0), "1."));
    map = plain.Convolve(map, "2.", 2, 0);
    FoldBatchNorms(tensors, "model");
    EXPECT_FALSE(tensors.contains("vision.stem.0.norm.variance"));
    const std::vector<float> rows = RowsOf(config, tensors, picture, 1);
    ExpectRows(rows, map);
    EXPECT_EQ(RowsOf(config, tensors, picture, 3), rows);
  }
}

TEST(ConvStem, BatchNormsThatMakeNoSenseAreDamage) {
  const TensorMap whole = TensorsOf(ConfigOf(StemKind::kConvolutions, 32));
  TensorMap tensors = whole;
  tensors.at("vision.stem.1.norm.variance").values[2] = -1;
  ExpectError(ErrorCode::kCorruptData, "model.bin: the BatchNorm behind convolution 1",
              [&] { FoldBatchNorms(tensors, "model.bin"); });
  tensors = whole;
  tensors.at("vision.stem.0.norm.gain").values[1] = 3e38f;
  tensors.at("vision.stem.0.norm.variance").values[1] = 0;
  ExpectError(ErrorCode::kCorruptData, "model.bin: convolution 0",
              [&] { FoldBatchNorms(tensors, "model.bin"); });
}

}  // namespace
}  // namespace cliplens
