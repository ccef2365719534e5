#include "cliplens/model/conv_stem.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/finite.h"
#include "cliplens/model/nn/kernels.h"

namespace cliplens {
namespace {

// Places of a band, about: products of this many rows run at full speed.
constexpr Index kPlacesABand = 1024;
constexpr double kBatchNormEpsilon = 1e-5;
constexpr Index kDeepSide = 3;  // of the kernels of a bottleneck and its shortcut's mean

std::string StemName(const std::string& part) { return "vision.stem." + part; }

const Tensor& StemTensor(const TensorMap& tensors, const std::string& part) {
  const std::string name = StemName(part);
  ValuesOf(tensors, name);  // refuses what was not loaded
  return tensors.find(name)->second;
}

// weight [out, in, k, k] as [out, k, k, in].
std::vector<float> PlacesFirst(const Tensor& weight) {
  const Index out = weight.shape[0], in = weight.shape[1];
  const Index places = weight.shape[2] * weight.shape[3];
  std::vector<float> turned(weight.values.size());
  for (Index o = 0; o < out; ++o) {
    for (Index i = 0; i < in; ++i) {
      for (Index p = 0; p < places; ++p) {
        At(turned, (o * places + p) * in + i) = At(weight.values, (o * in + i) * places + p);
      }
    }
  }
  return turned;
}

// Rows of a band of a picture whose rows are `side` places long.
Index BandOf(Index side) { return std::max<Index>(1, kPlacesABand / side); }

}  // namespace

// One picture. Maps are [side², channels].
class ConvStem::Pass {
 public:
  Pass(const ConvStem& stem, Workspace& workspace) : stem_(stem), w_(workspace) {}

  // Returns the side of y.
  Index Convolve(const Convolution& c, const float* x, Index side, float* y) {
    const Index out_side = c.SideOf(side);
    const Index inputs = c.weights.in();
    const Index band = BandOf(out_side);
    float* columns = w_.patches.Grow(band * out_side * inputs);
    for (Index first = 0; first < out_side; first += band) {
      const Index rows = std::min(band, out_side - first);
      w_.team.Run(rows, [&](Index i) {
        CopyPlaces(c, x, side, first + i, out_side, columns + i * out_side * inputs);
      });
      Multiply(c, columns, rows * out_side, y + first * out_side * c.weights.out());
    }
    return out_side;
  }

  // In place where x and y are the same, which takes a stride of 1. Returns the side of y.
  Index RunBottleneck(const Bottleneck& b, const float* x, Index side, float* y) {
    const Index out_side = (side - 1) / b.stride + 1;
    const Index in = b.norm.width, inner = b.in.weights.out(), out = b.out.weights.out();
    if (x != y) MakeShortcut(b, x, side, out_side, y);
    const Index band = BandOf(out_side);
    const Index most = (band - 1) * b.stride + kDeepSide;
    float* normed = w_.normed.Grow(most * side * in);
    float* wide = w_.qkv.Grow(most * side * inner);
    float* deep = w_.patches.Grow(band * out_side * inner);
    Index begin = 0, end = 0;  // rows of x that `wide` holds
    for (Index first = 0; first < out_side; first += band) {
      const Index rows = std::min(band, out_side - first);
      const Index needed = std::max<Index>(0, first * b.stride - 1);
      const Index needed_end = std::min(side, (first + rows - 1) * b.stride + 2);
      std::copy(wide + (needed - begin) * side * inner, wide + (end - begin) * side * inner, wide);
      begin = needed;
      const Index fresh = needed_end - end;
      Normalize(b.norm, x + end * side * in, fresh * side, normed);
      Multiply(b.in, normed, fresh * side, wide + (end - begin) * side * inner);
      end = needed_end;
      w_.team.Run(rows, [&](Index i) {
        ConvolveDeep(b, wide, side, begin, first + i, out_side, deep + i * out_side * inner);
      });
      Multiply(b.out, deep, rows * out_side, y + first * out_side * out, /*accumulate=*/true);
    }
    return out_side;
  }

  // LayerNorm, with GELU behind it. y may be x.
  void Normalize(const Norm& norm, const float* x, Index places, float* y, bool gelu = false) {
    constexpr Index kPiece = 64;
    w_.team.Run((places + kPiece - 1) / kPiece, [&](Index piece) {
      const Index first = piece * kPiece * norm.width;
      const Index count = std::min(kPiece, places - piece * kPiece);
      nn::LayerNorm({.rows = count,
                     .width = norm.width,
                     .x = x + first,
                     .gain = norm.gain,
                     .bias = norm.bias,
                     .epsilon = stem_.epsilon_,
                     .y = y + first});
      if (gelu) nn::Gelu(count * norm.width, y + first);
    });
  }

 private:
  void Multiply(const Convolution& c, const float* x, Index rows, float* y,
                bool accumulate = false) {
    nn::Linear(c.weights,
               nn::LinearArgs<float, float>{.rows = rows,
                                            .x = x,
                                            .x_stride = c.weights.in(),
                                            .y = y,
                                            .y_stride = c.weights.out(),
                                            .epilogue = c.epilogue,
                                            .accumulate = accumulate},
               w_.team);
  }

  // What the kernel covers at each place of a row of y; zeros beside the picture.
  static void CopyPlaces(const Convolution& c, const float* x, Index side, Index row,
                         Index out_side, float* to) {
    for (Index column = 0; column < out_side; ++column) {
      const Index left = column * c.stride - c.padding;
      const Index from = std::max<Index>(0, -left);
      const Index until = std::min(c.kernel, side - left);
      for (Index k = 0; k < c.kernel; ++k, to += c.kernel * c.in) {
        const Index at = row * c.stride - c.padding + k;
        if (at < 0 || at >= side) {
          std::fill_n(to, c.kernel * c.in, 0.0f);
          continue;
        }
        std::fill_n(to, from * c.in, 0.0f);
        std::copy_n(x + (at * side + left + from) * c.in, (until - from) * c.in, to + from * c.in);
        std::fill(to + until * c.in, to + c.kernel * c.in, 0.0f);
      }
    }
  }

  // A row of y, GELU(K * x), of the rows of x from `begin` on.
  static void ConvolveDeep(const Bottleneck& b, const float* x, Index side, Index begin, Index row,
                           Index out_side, float* y) {
    const Index channels = b.in.weights.out();
    for (Index column = 0; column < out_side; ++column, y += channels) {
      std::copy_n(b.deep_bias, channels, y);
      ForPlacesAround(row * b.stride, column * b.stride, side, [&](Index at, Index tap) {
        const float* place = x + (at - begin * side) * channels;
        const float* weight = b.deep.data() + tap * channels;
        for (Index i = 0; i < channels; ++i) y[i] += place[i] * weight[i];
      });
      nn::Gelu(channels, y);
    }
  }

  // Calls body(place, tap) for the places of the picture around a place.
  template <typename Body>
  static void ForPlacesAround(Index row, Index column, Index side, const Body& body) {
    for (Index tap = 0; tap < kDeepSide * kDeepSide; ++tap) {
      const Index y = row + tap / kDeepSide - 1;
      const Index x = column + tap % kDeepSide - 1;
      if (y >= 0 && y < side && x >= 0 && x < side) body(y * side + x, tap);
    }
  }

  // The mean of the places around each second one that lie in the picture, times a matrix where
  // channels grow.
  void MakeShortcut(const Bottleneck& b, const float* x, Index side, Index out_side, float* y) {
    const Index channels = b.norm.width;
    const Index places = out_side * out_side;
    float* mean = b.shortcut ? w_.query.Grow(places * channels) : y;
    w_.team.Run(out_side, [&](Index row) {
      float* to = mean + row * out_side * channels;
      for (Index column = 0; column < out_side; ++column, to += channels) {
        std::fill_n(to, channels, 0.0f);
        float count = 0;
        ForPlacesAround(row * b.stride, column * b.stride, side, [&](Index at, Index) {
          for (Index i = 0; i < channels; ++i) to[i] += x[at * channels + i];
          ++count;
        });
        for (Index i = 0; i < channels; ++i) to[i] /= count;
      }
    });
    if (b.shortcut) Multiply(*b.shortcut, mean, places, y);
  }

  const ConvStem& stem_;
  Workspace& w_;
};

ConvStem::ConvStem(const ModelConfig& config, const TensorMap& tensors)
    : kind_(config.stem.kind), epsilon_(static_cast<float>(config.vision.norm_epsilon)) {
  if (kind_ == StemKind::kConvolutions) {
    constexpr nn::Epilogue kGelu = nn::Epilogue::kGelu;
    convolutions_.push_back(MakeConvolution(tensors, "0.", 4, 0, kGelu));
    convolutions_.push_back(MakeConvolution(tensors, "1.", 2, 0, kGelu));
    convolutions_.push_back(MakeConvolution(tensors, "2.", 2, 0));
  } else {
    convolutions_.push_back(MakeConvolution(tensors, "0.", 2, 1));
    convolutions_.push_back(MakeConvolution(tensors, "1.", 1, 1));
    convolutions_.push_back(MakeConvolution(tensors, "2.", 2, 1));
    norms_ = {MakeNorm(tensors, "0."), MakeNorm(tensors, "2.")};
    for (int stage = 0; stage < 2; ++stage) {
      for (int block = 0;; ++block) {
        const std::string name = fmt::format("stage.{}.{}.", stage, block);
        if (!tensors.contains(StemName(name + "in.weight"))) break;
        bottlenecks_.push_back(MakeBottleneck(tensors, name, block == 0 ? 2 : 1));
      }
    }
  }
  Index side = config.preprocess.image_size;
  for (const Convolution& c : convolutions_) side = c.SideOf(side);
  for (const Bottleneck& b : bottlenecks_) side = (side - 1) / b.stride + 1;
  if (side != config.grid()) {
    throw Error(ErrorCode::kInternal, "convolutions make {} x {} places, not {} x {}", side, side,
                config.grid(), config.grid());
  }
}

ConvStem::Norm ConvStem::MakeNorm(const TensorMap& tensors, const std::string& name) {
  const Tensor& gain = StemTensor(tensors, name + "norm.gain");
  return {gain.values.data(), StemTensor(tensors, name + "norm.bias").values.data(), gain.shape[0]};
}

ConvStem::Convolution ConvStem::MakeConvolution(const TensorMap& tensors, const std::string& name,
                                                Index stride, Index padding,
                                                nn::Epilogue epilogue) {
  const Tensor& weight = StemTensor(tensors, name + "weight");
  const Index kernel = weight.shape[2];
  const Index in = weight.shape[1];
  return {.weights = {PlacesFirst(weight).data(), StemTensor(tensors, name + "bias").values.data(),
                      weight.shape[0], kernel * kernel * in, nn::Precision::kF32},
          .kernel = kernel,
          .stride = stride,
          .padding = padding,
          .in = in,
          .epilogue = epilogue};
}

ConvStem::Bottleneck ConvStem::MakeBottleneck(const TensorMap& tensors, const std::string& name,
                                              Index stride) {
  const Tensor& deep = StemTensor(tensors, name + "deep.weight");  // [M, 1, 3, 3]
  const Index channels = deep.shape[0];
  constexpr Index kPlaces = kDeepSide * kDeepSide;
  Bottleneck b{.norm = MakeNorm(tensors, name),
               .in = MakeConvolution(tensors, name + "in.", 1, 0, nn::Epilogue::kGelu),
               .out = MakeConvolution(tensors, name + "out.", 1, 0),
               .deep = std::vector<float>(deep.values.size()),
               .deep_bias = StemTensor(tensors, name + "deep.bias").values.data(),
               .stride = stride,
               .shortcut = {}};
  for (Index i = 0; i < channels; ++i) {
    for (Index p = 0; p < kPlaces; ++p) {
      At(b.deep, p * channels + i) = At(deep.values, i * kPlaces + p);
    }
  }
  if (tensors.contains(StemName(name + "shortcut.weight"))) {
    b.shortcut = MakeConvolution(tensors, name + "shortcut.", 1, 0);
  }
  return b;
}

void ConvStem::Run(const Array<float, 3>& picture, float* rows, Workspace& w) const {
  Pass pass(*this, w);
  Index side = picture.dim(1);
  const Index places = side * side;
  // Two maps in turn. None is larger than the picture or what the first convolution makes of it.
  const Convolution& front = convolutions_.front();
  const Index first_side = front.SideOf(side);
  const Index most = std::max(3 * places, first_side * first_side * front.weights.out());
  float* map = w.attended.Grow(most);
  float* other = w.plain.Grow(most);
  for (Index i = 0; i < places; ++i) {
    for (Index c = 0; c < 3; ++c) map[i * 3 + c] = picture.data()[c * places + i];
  }
  const auto convolve = [&](const Convolution& c) {
    side = pass.Convolve(c, map, side, other);
    std::swap(map, other);
  };
  convolve(front);
  if (kind_ == StemKind::kMbConv) {
    pass.Normalize(norms_.front(), map, side * side, map, /*gelu=*/true);
  }
  convolve(convolutions_[1]);
  for (const Bottleneck& b : bottlenecks_) {
    float* to = b.stride == 1 ? map : other;
    side = pass.RunBottleneck(b, map, side, to);
    if (to != map) std::swap(map, other);
  }
  if (kind_ == StemKind::kMbConv) pass.Normalize(norms_.back(), map, side * side, map);
  pass.Convolve(convolutions_[2], map, side, rows);
}

void FoldBatchNorms(TensorMap& tensors, const std::string& file) {
  for (int i = 0;; ++i) {
    const std::string name = StemName(fmt::format("{}.", i));
    const std::string norm = name + "norm.";
    if (!tensors.contains(norm + "variance")) return;
    const auto take = [&](const char* part) {
      return std::move(tensors.extract(norm + part).mapped().values);
    };
    const std::vector<float> gain = take("gain"), bias = take("bias"), mean = take("mean"),
                             variance = take("variance");
    std::vector<float>& weight = tensors.at(name + "weight").values;
    const std::size_t inputs = weight.size() / gain.size();
    Tensor shift{{static_cast<Index>(gain.size())}, std::vector<float>(gain.size())};
    for (std::size_t o = 0; o < gain.size(); ++o) {
      if (variance[o] < 0) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: the BatchNorm behind convolution {} of the image tower has the variance "
                    "{}; the checkpoint is damaged",
                    file, i, variance[o]);
      }
      const double scale = gain[o] / std::sqrt(variance[o] + kBatchNormEpsilon);
      shift.values[o] = static_cast<float>(bias[o] - mean[o] * scale);
      for (float& w : std::span(weight).subspan(o * inputs, inputs)) {
        w = static_cast<float>(w * scale);
      }
    }
    if (!AllFinite(std::span(weight)) || !AllFinite(std::span(shift.values))) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: convolution {} of the image tower with its BatchNorm is not finite; the "
                  "checkpoint is damaged",
                  file, i);
    }
    tensors[name + "bias"] = std::move(shift);
  }
}

}  // namespace cliplens
